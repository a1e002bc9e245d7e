"""Problems found in traces: what they are, how bad, and how many traces they touch."""
