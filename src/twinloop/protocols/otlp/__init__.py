"""OpenTelemetry's OTLP over HTTP: spans as protobuf or JSON."""
