"""Recounts a lake from its raw objects and every table, compares everything with the ledger, and repairs gold."""

from __future__ import annotations

from shoplake.operations.verify.report import Audit, Difference, Note, VerifyReport
from shoplake.operations.verify.run import VerifyRequest, verify

__all__ = ["Audit", "Difference", "Note", "VerifyReport", "VerifyRequest", "verify"]
