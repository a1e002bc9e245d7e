"""Feature views: declared once, computed as of a moment for training, and as of now for serving, by the same SQL."""
