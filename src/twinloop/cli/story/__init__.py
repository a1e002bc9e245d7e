"""The story that ``twinloop demo`` tells: both lanes, end to end, on real data."""
