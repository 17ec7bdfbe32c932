"""Stops a batch whose lines break the contract so widely that the producer must be at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shoplake.contract import FIELDS
from shoplake.engines.base import CheckedFile
from shoplake.errors import ContractError
from shoplake.lake.ledger import bounded
from shoplake.text import count

BREAKER_LINES = 1000
NAMED = 5
"""How many reasons, keys and files its error names."""


@dataclass(frozen=True)
class _Share:
    """How many of a file's lines break the contract, of all or of those that need one field.

    Attributes:
        file: The file.
        broken: The lines that do.
        lines: All that could.
    """

    file: CheckedFile
    broken: int
    lines: int


def stop_if_absurd(checked: Sequence[CheckedFile], max_quarantine_rate: float) -> None:
    """Let a batch pass, or stop it before it changes anything.

    A renamed ``price`` spoils every purchase, though purchases are few among all lines. So the share is also taken of the
    lines that need a field. Which of the broken ones needed it is not known, so all of them count, and the share is never
    overstated.

    Args:
        checked: Its files. Fewer than ``BREAKER_LINES`` lines, of all or of those that need the field, always pass.
        max_quarantine_rate: The share of quarantined lines, 0 to 1, above which it is stopped.

    Raises:
        ContractError: More lines than that are quarantined, of all or of those that need one field.
    """
    _stop_above(max_quarantine_rate, "", [_Share(file, file.broken, file.lines) for file in checked], checked)
    counted = [(file, file.reasons) for file in checked]
    for field in FIELDS:
        codes = (f"missing_{field.name}", field.code)
        shares = []
        for file, by_code in counted:
            broken = sum(by_code[code] for code in codes if code)
            shares.append(_Share(file, broken, file.broken + file.present.get(field.column, 0)))
        _stop_above(max_quarantine_rate, f" that need {field.name}", shares, checked)


def _stop_above(rate: float, which: str, shares: Sequence[_Share], checked: Sequence[CheckedFile]) -> None:
    lines, broken = sum(share.lines for share in shares), sum(share.broken for share in shares)
    if lines < BREAKER_LINES or broken <= rate * lines:
        return
    unknown: Counter[str] = sum((Counter(file.unknown_keys) for file in checked), Counter())
    drift = f" Unknown keys: {_most(Counter(bounded(unknown)))}." if unknown else ""
    raise ContractError(
        f"{broken:,} of {count(lines, 'line')}{which} ({broken / lines:.0%}) break the contract; the batch was stopped"
        f" before it changed anything. Reasons: {_most(reasons(checked))}.{drift} Files: {_worst(shares, rate)}",
        remedy="A producer is broken or its format has changed. To set a file aside and ingest the others, give"
        " --set-aside FILE. To quarantine the lines and go on, give --max-quarantine-rate 1, or set"
        " SHOPLAKE_MAX_QUARANTINE_RATE=1.",
    )


def _most(counts: Counter[str]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number:,}" for name, number in ranked[:NAMED])


def _worst(shares: Sequence[_Share], rate: float) -> str:
    """The files that trip the breaker, those with the most quarantined lines first."""
    tripping = [share for share in shares if share.broken > rate * share.lines]
    tripping.sort(key=lambda share: (-share.broken, share.file.file.path))
    named = [f"{share.file.file.path} ({share.broken:,} of {share.lines:,} lines)" for share in tripping[:NAMED]]
    more = f" and {len(tripping) - NAMED:,} more" if len(tripping) > NAMED else ""
    return ", ".join(named) + more


def reasons(checked: Sequence[CheckedFile]) -> Counter[str]:
    """Quarantined lines by reason code; a line may have several."""
    return sum((result.reasons for result in checked), Counter())
