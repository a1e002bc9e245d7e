"""The questions an experiment asks people about its traces."""
