"""What both lanes share: store, security, lineage, tracing, tracking, registry, pipelines, evaluation, releases, gateway."""
