"""The server: an ASGI application over a composed App, and the process that serves it."""
