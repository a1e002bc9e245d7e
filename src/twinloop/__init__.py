"""Twinloop: one platform for both loops of production AI."""

from twinloop.version import __version__ as __version__
