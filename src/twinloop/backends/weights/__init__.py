"""Weights and other large files are data: a catalog says what each is, where it comes from and what it must hash to."""

from twinloop.backends.weights.catalog import CATALOG, Catalog
from twinloop.backends.weights.entries import Entry, File, LocalFile, PackageFile, Source, Url
from twinloop.backends.weights.fetch import Progress, ProgressReport, fetch_package_files

__all__ = [
    "CATALOG",
    "Catalog",
    "Entry",
    "File",
    "LocalFile",
    "PackageFile",
    "Progress",
    "ProgressReport",
    "Source",
    "Url",
    "fetch_package_files",
]
