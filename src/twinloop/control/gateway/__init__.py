"""One way in for every request to an endpoint: authenticate, resolve, pick a variant, answer, trace."""
