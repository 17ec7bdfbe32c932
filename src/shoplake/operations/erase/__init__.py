"""Erase people from a lake and from its raw files."""

from shoplake.operations.erase.people import MOST_PEOPLE, People
from shoplake.operations.erase.receipt import EraseReceipt, EraseRequest
from shoplake.operations.erase.run import erase, preview

__all__ = ["MOST_PEOPLE", "EraseReceipt", "EraseRequest", "People", "erase", "preview"]
