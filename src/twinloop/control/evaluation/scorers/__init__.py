"""Scorers that clients register: named, versioned, and kept as they were given."""
