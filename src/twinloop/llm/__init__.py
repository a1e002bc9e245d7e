"""The LLM lane: documents, embeddings, retrieval, prompts, generation, agents; imports point upstream only."""
