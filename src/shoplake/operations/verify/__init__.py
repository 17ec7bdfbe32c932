"""Recounts a lake from its raw objects and from every table, compares all with the ledger, and mends gold."""

from __future__ import annotations

from shoplake.operations.verify.findings import Check, Difference, Note, Report
from shoplake.operations.verify.run import Request, verify

__all__ = ["Check", "Difference", "Note", "Report", "Request", "verify"]
