"""Texts become vectors: the embedder port and the revisions of kind ``embedder``."""
