"""Immutable revisions, their aliases and their lineage."""
