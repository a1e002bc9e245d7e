"""What a program logs, kept in a folder until the server has it."""
