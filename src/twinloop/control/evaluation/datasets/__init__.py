"""Evaluation datasets: inputs with what is expected of an answer, merged by their inputs."""
