"""Watching: when the next run begins, and which failures it outlives."""

import pytest

from shoplake.cli.watch import LONGEST, Watch
from shoplake.errors import ContractError, FatalError, TransientError, UsageError


class Stop(BaseException):
    """Ends the watch, as a signal does."""


def watch(outcomes, every=10.0, draw=1.0):
    """Everything that is shown, told as failed or slept, in order, for runs with these outcomes."""
    said: list[object] = []
    turns = iter(outcomes)

    def run():
        for outcome in turns:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        raise Stop

    watching = Watch(every, sleep=said.append, draw=lambda: draw)
    with pytest.raises(Stop):
        watching.forever(run, said.append, lambda error, seconds: said.append((str(error), seconds)))
    return said


def test_a_run_after_each_pause():
    assert watch(["one", "two"]) == ["one", 10.0, "two", 10.0]


@pytest.mark.parametrize(
    "error",
    [ContractError("no"), TransientError("no"), FatalError("no"), OSError("no")],
    ids=lambda e: type(e).__name__,
)
def test_failures_are_reported_and_outlived(error):
    """Each is tried again after a longer pause, even where the first run fails; a success resets the pauses."""
    assert watch([error, error, error, "fine", error]) == [
        *(("no", 10.0), 10.0),
        *(("no", 20.0), 20.0),
        *(("no", 40.0), 40.0),
        *("fine", 10.0),
        *(("no", 10.0), 10.0),
    ]


def test_a_call_that_cannot_work_ends_at_once():
    """A wrong call is not repeated for ever; what passes for one later, such as a folder that is away, is outlived."""
    watching = Watch(1.0, sleep=lambda _: pytest.fail("it waits"))
    with pytest.raises(UsageError):
        watching.forever(lambda: exec("raise error", {"error": UsageError("no")}), print, print)  # noqa: S102
    assert watch(["fine", UsageError("gone"), "fine"]) == ["fine", 10.0, ("gone", 10.0), 10.0, "fine", 10.0]


def test_a_programming_error_is_not_outlived():
    def run():
        raise KeyError("x")

    with pytest.raises(KeyError):
        Watch(1.0).forever(run, print, print)


@pytest.mark.parametrize("every", [0.1, 1.0, 30.0, 1000.0])
def test_pauses_grow_are_bounded_and_differ(every):
    """They grow up to five minutes, or to the pause between runs if that is longer; jitter takes up to half of it."""
    longest = [Watch(every, draw=lambda: 1.0).pause_after(n) for n in range(1, 2000)]
    shortest = [Watch(every, draw=lambda: 0.0).pause_after(n) for n in range(1, 2000)]
    assert longest == sorted(longest)
    assert longest[-1] == max(every, LONGEST)
    assert longest[0] >= every
    assert shortest == [pause / 2 for pause in longest]
