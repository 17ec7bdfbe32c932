"""Stops a batch whose lines break the contract so widely that the producer must be at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shoplake.engines.base import CheckedFile
from shoplake.errors import ContractError
from shoplake.text import count

BREAKER_LINES = 1000
NAMED = 5
"""How many of the files that trip the breaker its error names."""


def stop_if_absurd(checked: Sequence[CheckedFile], max_quarantine_rate: float) -> None:
    """Let a batch pass, or stop it before it changes anything.

    Args:
        checked: Its files. Fewer than ``BREAKER_LINES`` lines in all always pass.
        max_quarantine_rate: The share of quarantined lines, 0 to 1, above which it is stopped.

    Raises:
        ContractError: More lines than that are quarantined.
    """
    lines = sum(result.lines for result in checked)
    quarantined = sum(result.broken for result in checked)
    if lines < BREAKER_LINES or quarantined <= max_quarantine_rate * lines:
        return
    top = ", ".join(f"{code} {number:,}" for code, number in reasons(checked).most_common(5))
    raise ContractError(
        f"{quarantined:,} of {count(lines, 'line')} ({quarantined / lines:.0%}) break the contract; the batch was stopped"
        f" before it changed anything. Reasons: {top}. Files: {_worst(checked, max_quarantine_rate)}",
        remedy="A producer is broken or its format has changed. To set a file aside and ingest the others, give"
        " --set-aside FILE. To quarantine the lines and go on, give --max-quarantine-rate 1.",
    )


def _worst(checked: Sequence[CheckedFile], max_quarantine_rate: float) -> str:
    """The files that trip the breaker, those with the most quarantined lines first."""
    tripping = [result for result in checked if result.broken > max_quarantine_rate * result.lines]
    tripping.sort(key=lambda result: (-result.broken, result.file.path))
    named = [f"{file.file.path} ({file.broken:,} of {file.lines:,} lines)" for file in tripping[:NAMED]]
    more = f" and {len(tripping) - NAMED:,} more" if len(tripping) > NAMED else ""
    return ", ".join(named) + more


def reasons(checked: Sequence[CheckedFile]) -> Counter[str]:
    """Quarantined lines by reason code; a line may have several."""
    return sum((result.reasons for result in checked), Counter())
