"""Outbound adapters: engines and stores behind the ports of the lanes and of control. No backend knows another lane."""
