"""MLflow's REST protocol: experiments, runs, metrics, params and tags for unmodified MLflow clients."""
