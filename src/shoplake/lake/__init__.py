"""The tables and how they change."""

from shoplake.lake.catalog import Lake

__all__ = ["Lake"]
