"""Who asks and what they may do: principals, roles, keys, redaction."""
