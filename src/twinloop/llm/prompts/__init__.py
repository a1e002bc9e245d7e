"""How an endpoint asks its generator: system text, template, retrieval and sampling, as one revision."""
