"""Erase a person from a lake and from its raw files."""

from shoplake.operations.erase.run import EraseReceipt, EraseRequest, erase, preview

__all__ = ["EraseReceipt", "EraseRequest", "erase", "preview"]
