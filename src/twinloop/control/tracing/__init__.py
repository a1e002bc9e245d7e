"""Traces and spans in OpenTelemetry's terms: written from one bounded queue, or durably when somebody waits."""
