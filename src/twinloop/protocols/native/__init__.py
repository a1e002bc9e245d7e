"""Twinloop's own HTTP interface, /api/v1: everything the SDK, the CLI and the console use."""
