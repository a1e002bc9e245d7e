"""Inbound wire formats. Each decodes a request, calls one service verb and encodes its answer."""
