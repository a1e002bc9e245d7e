"""Moving what was tracked: out of MLflow into Twinloop, and whole homes, models or runs to folders and back."""
