"""Runs that are logged without waiting for a server."""
