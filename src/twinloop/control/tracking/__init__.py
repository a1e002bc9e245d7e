"""Experiments and runs: params, metrics, tags, inputs, and a search over all of them."""
