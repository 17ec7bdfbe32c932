"""Copy a lake to another place, as a lake that works there."""

from shoplake.operations.copying.run import CopyReport, CopyRequest, copy, preview

__all__ = ["CopyReport", "CopyRequest", "copy", "preview"]
