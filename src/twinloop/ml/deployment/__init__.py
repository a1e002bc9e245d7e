"""Models answer: loaded engines, batches drained from a queue, and the endpoint type ``predict``."""
