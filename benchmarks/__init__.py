"""Figures that hold when a stranger measures them: ratios within one run, against a peer or a limit."""
