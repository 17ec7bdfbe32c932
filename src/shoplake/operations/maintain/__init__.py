"""Merge small files and remove what nothing needs."""

from shoplake.operations.maintain.run import MaintenanceReport, MaintenanceRequest, MergedTable, maintain, preview

__all__ = ["MaintenanceReport", "MaintenanceRequest", "MergedTable", "maintain", "preview"]
