"""Runs that log themselves, through MLflow's autologgers and PyTorch's optimizer hooks."""
