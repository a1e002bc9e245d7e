"""Tells other systems what changed in the registry: signed, retried, nothing lost."""
