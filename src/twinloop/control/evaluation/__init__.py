"""Evidence, not scores: every metric has an interval and a sample size, and a gate may say "not enough evidence"."""
