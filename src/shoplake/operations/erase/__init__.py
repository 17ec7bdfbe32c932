"""Erase a person from a lake and from its raw files."""

from shoplake.operations.erase.receipt import EraseReceipt, EraseRequest
from shoplake.operations.erase.run import erase, preview

__all__ = ["EraseReceipt", "EraseRequest", "erase", "preview"]
