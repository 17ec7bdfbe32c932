"""Erase a person from a lake and from its raw files."""

from shoplake.operations.erase.run import Receipt, Request, erase, preview

__all__ = ["Receipt", "Request", "erase", "preview"]
