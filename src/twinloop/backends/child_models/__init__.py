"""Models that are loaded and run in a process of their own, so that a bad file cannot harm the server."""
