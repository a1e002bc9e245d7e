"""The version of this package, read by the build and by ``twinloop --version`` without importing anything else."""

__version__ = "0.2.0"
