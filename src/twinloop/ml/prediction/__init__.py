"""Models are applied to whole datasets: batch prediction, and evaluation into evidence."""
