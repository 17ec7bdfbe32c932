"""Families of errors: what went wrong, where, and what to do about it."""

from __future__ import annotations

from shoplake import PUBLISHED


def installing(extra: str) -> str:
    """The remedy for a missing package: how to add an extra, by name only once the name is ours."""
    return f"pip install 'shoplake[{extra}]'" if PUBLISHED else f"pip install -e '.[{extra}]' in the checkout"


class ShoplakeError(Exception):
    """An error that the user sees as one message with its remedy, without a traceback.

    Attributes:
        exit_code: The exit code of a command that ends with this error.
        remedy: What to do, or an empty string.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Keep the message and the remedy apart, so that each front end can format them."""
        super().__init__(message)
        self.remedy = remedy


class UsageError(ShoplakeError):
    """The call itself cannot work: a wrong option, a missing place, an unknown name."""

    exit_code = 2


class ContractError(ShoplakeError):
    """So much of the data breaks the contract that the batch was stopped before it was committed."""


class TransientError(ShoplakeError):
    """The same call may work later: a lost race, a storage that did not respond."""


class UnknownOutcomeError(TransientError):
    """A change was requested and no response came: it may or may not have happened. Whatever it needs must be kept."""


class FatalError(ShoplakeError):
    """Something is broken that no retry will fix: a damaged lake, no disk space, no permission."""


class DeniedError(FatalError):
    """The storage denies access to something that is there."""


class MissingFileError(FatalError):
    """A file that the lake names is not there: the lake is damaged, unless another run has removed it since.

    An erasure removes old files at once. :func:`shoplake.lake.transact.transact` tells the two apart.
    """

    def __init__(self, location: str, detail: str = "") -> None:
        """Name the file; the detail is what the engine that wanted to read it said."""
        what = f"{location} is missing: {detail}" if detail else f"{location} is missing"
        super().__init__(what, remedy="Was the lake moved or partly deleted? Find out what is lost: shoplake verify")
