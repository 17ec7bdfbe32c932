"""Merge small files and remove what nothing needs."""

from shoplake.operations.maintain.run import Merged, Report, Request, maintain, preview

__all__ = ["Merged", "Report", "Request", "maintain", "preview"]
