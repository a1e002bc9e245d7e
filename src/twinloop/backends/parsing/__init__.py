"""Reads foreign documents in a process of its own, with limits on memory, time and size."""

from twinloop.backends.parsing.process import Limits, ProcessParser

__all__ = ["Limits", "ProcessParser"]
