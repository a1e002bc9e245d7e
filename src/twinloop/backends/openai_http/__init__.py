"""Any server that speaks OpenAI's HTTP API, by URL: chat completions and embeddings."""
