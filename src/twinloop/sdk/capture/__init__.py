"""What a run ran with: code, environment, machine, and how busy that machine was."""
