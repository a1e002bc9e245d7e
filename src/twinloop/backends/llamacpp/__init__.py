"""llama.cpp in a supervised child process, spoken to over its own OpenAI API on the loopback."""
