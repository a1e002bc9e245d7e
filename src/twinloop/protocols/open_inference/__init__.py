"""The Open Inference Protocol (REST, version 2) over predict endpoints: an endpoint is a model, its release a version."""
