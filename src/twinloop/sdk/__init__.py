"""The client, and what a project's Python files say. Embedded use is the same client over an in-process transport."""
