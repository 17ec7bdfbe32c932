"""The emulator of AWS, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import grade
from tests.aws import support


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    with support.emulator() as url:
        yield url


@pytest.fixture
def aws(emulator: str, no_aws: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an emulator without state, to which the environment sends every client."""
    grade.reset(emulator)
    for name, value in {**support.KEYS, "AWS_ENDPOINT_URL": emulator}.items():
        monkeypatch.setenv(name, value)
    return emulator
