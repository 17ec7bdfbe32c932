"""Merge small files and remove files that nothing refers to."""

from shoplake.operations.maintain.run import MaintenanceReport, MaintenanceRequest, MergedTable, maintain, preview

__all__ = ["MaintenanceReport", "MaintenanceRequest", "MergedTable", "maintain", "preview"]
