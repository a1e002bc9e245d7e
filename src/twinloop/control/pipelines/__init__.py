"""Durable pipelines: graphs of Python functions, recorded as they run, resumed, and skipped when unchanged."""
