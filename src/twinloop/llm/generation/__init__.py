"""Messages become answers: the chat engine port and the revisions of kind ``generator``."""
