"""Vectors are indexed and searched: the vector engine port and the revisions of kind ``index``."""
