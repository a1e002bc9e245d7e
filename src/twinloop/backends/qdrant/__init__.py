"""The Qdrant engine in process (``qdrant-edge-py``), one shard per index."""
