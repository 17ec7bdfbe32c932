"""The client of S3 and of everything that speaks its protocol: the only module that knows obstore.

Endpoint, region and credentials come from the usual environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ...). The
client itself retries what a server or the network broke, with growing, randomized pauses; what it does not retry, although
that is safe, is retried here.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from shoplake.errors import ShoplakeError, TransientError, UnknownOutcomeError, UsageError, installing
from shoplake.storage.bucket_errors import METADATA_HOST, Failure, OddNameError, explain, no_credentials
from shoplake.storage.uris import SCHEME, lies_before

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
    from obstore.store import S3Store
except ImportError as missing:
    raise UsageError("S3 needs an additional package", remedy=installing("s3")) from missing

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta, PutMode
    from obstore.store import ClientConfig, RetryConfig, S3CredentialProvider

_T = TypeVar("_T")

STALLED_SECONDS = 20
RETRIES = 6
RETRY_SECONDS = 60
ATTEMPTS = 3
PAUSE_SECONDS = 0.2
_REQUEST_SECONDS = 120
_CONNECT_SECONDS = 5
_PART_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a listing shows it.

    Attributes:
        key: Its full key in the bucket.
        bytes: Its size.
        tag: Its ETag without the quotes; empty where the server gives no reliable one.
        modified: When it was written, by the server's clock.
    """

    key: str
    bytes: int
    tag: str
    modified: datetime


class ChangedError(Exception):
    """The object no longer has the expected ETag: it was replaced."""


def bucket(name: str) -> Bucket:
    """The client of a bucket for the current environment; the same environment gets the same client.

    Raises:
        UsageError: The environment variables are not usable.
    """
    return _bucket(name, tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith("AWS_"))))


@lru_cache(maxsize=32)
def _bucket(name: str, settings: tuple[tuple[str, str], ...]) -> Bucket:
    return Bucket(name, dict(settings))


class Bucket:
    """The objects of one bucket by their keys. Thread-safe.

    Every method raises a ``UsageError`` when a call or a setting is wrong (bucket, region, credentials), a
    ``TransientError`` when the server kept failing for about a minute, and a ``FatalError`` otherwise.
    """

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        """Make a client; no request is sent yet.

        Args:
            name: The bucket.
            settings: The ``AWS_`` variables of the environment.
        """
        self.name = name
        self.endpoint = next(
            (settings[key] for key in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if settings.get(key)),
            "",
        )
        provider = _credentials(settings)
        more: dict[str, Any] = {"endpoint": self.endpoint} if self.endpoint else {}
        region = getattr(provider, "config", {}).get("region")
        if region and not (settings.get("AWS_REGION") or settings.get("AWS_DEFAULT_REGION")):
            more["region"] = region
        try:
            self._store = S3Store(
                name,
                client_options=_client_options(self.endpoint),
                retry_config=_retries(),
                credential_provider=provider,
                **more,
            )
        except (BaseError, ValueError) as error:
            raise UsageError(
                f"the settings for S3 are not usable: {Failure(error, '', name, '').line}",
                remedy="Check the AWS_... variables.",
            ) from error

    def get(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and ETag, None if there is none."""

        def once() -> tuple[bytes, str]:
            answer = obstore.get(self._store, key)
            return bytes(answer.bytes()), answer.meta["e_tag"] or ""

        try:
            return self._retried(once, f"reading {self._uri(key)}")
        except FileNotFoundError:
            return None

    def get_range(self, key: str, start: int, end: int, tag: str = "") -> bytes:
        """The bytes of an object from ``start`` to before ``end``, as they are stored.

        Args:
            key: The object.
            start: First byte.
            end: One past the last byte.
            tag: The ETag that it must still have; empty for any.

        Raises:
            FileNotFoundError: It was deleted.
            ChangedError: It was replaced.
        """
        options: GetOptions = {"range": (start, end)}
        if tag:
            options["if_match"] = tag

        def once() -> bytes:
            content = bytes(obstore.get(self._store, key, options=options).bytes())
            if len(content) != end - start:
                raise ConnectionError(f"received {len(content)} of {end - start} bytes")
            return content

        try:
            return self._retried(once, f"reading {self._uri(key)}")
        except PreconditionError as error:
            raise ChangedError(f"{self._uri(key)} was replaced") from error

    def head(self, key: str) -> ObjectInfo | None:
        """What a listing would show of an object, None if there is none."""
        try:
            return self._retried(lambda: _info(obstore.head(self._store, key)), f"looking up {self._uri(key)}")
        except FileNotFoundError:
            return None

    def put(self, key: str, content: bytes | memoryview) -> None:
        """Write an object, large ones in several parts at once."""
        octets = memoryview(content).cast("B")

        def once() -> None:
            obstore.put(self._store, key, octets, chunk_size=_PART_BYTES)

        self._retried(once, f"writing {self._uri(key)}")

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """Replace an object, only if it still has the old content (None: only if there is none). Atomic.

        The response to a successful write can get lost, and the retry is then refused: what the object contains afterwards
        decides who was first.

        Returns:
            Whether it has the new content now, which must differ from all earlier ones.

        Raises:
            UnknownOutcomeError: No response: it may have been replaced, or may still be.
        """
        end = time.monotonic() + RETRY_SECONDS
        in_doubt = False  # whether a write may have succeeded, or may still
        for attempt in range(ATTEMPTS):
            if in_doubt and time.monotonic() >= end:
                break
            _pause(attempt)
            try:
                content, tag = self.get(key) or (None, "")
                if content != old:
                    return content == new
                self._put_if(key, new, "create" if old is None else {"e_tag": tag})
            except (PreconditionError, AlreadyExistsError):
                continue
            except TransientError as error:
                if attempt == 0 and not isinstance(error, UnknownOutcomeError):
                    raise
                in_doubt = True
            except ShoplakeError as error:
                if in_doubt:
                    raise self._unknown(key) from error
                raise
            else:
                return True
        raise self._unknown(key)

    def replace(self, key: str, tag: str, content: bytes) -> bool:
        """Replace the bytes of an object that still has the given ETag; its headers (Content-Encoding) stay.

        Returns:
            Whether it has these bytes now.
        """

        def once() -> None:
            headers = obstore.get(self._store, key, options={"if_match": tag}).attributes
            obstore.put(self._store, key, content, attributes=headers, mode={"e_tag": tag})

        try:
            self._retried(once, f"writing {self._uri(key)}")
        except (FileNotFoundError, PreconditionError):
            current = self.get(key)  # the response to a successful write can get lost
            return current is not None and current[0] == content
        return True

    def _put_if(self, key: str, content: bytes, mode: PutMode) -> None:
        try:
            obstore.put(self._store, key, content, mode=mode)
        except (PreconditionError, AlreadyExistsError):
            raise
        except (BaseError, OSError) as error:
            clear = self._clear(error, f"writing {self._uri(key)}")
            raise (self._unknown(key) if isinstance(clear, TransientError) else clear) from error

    def supports_conditional_writes(self, key: str) -> bool:
        """Whether the server refuses the writes that :meth:`swap` needs refused; tries it on an object that is then deleted."""
        self.put(key, b"")
        modes: tuple[PutMode, ...] = ("create", {"e_tag": '"00000000000000000000000000000000"'})
        try:
            return all(self._refuses(key, mode) for mode in modes)
        finally:
            self.delete([key])

    def _refuses(self, key: str, mode: PutMode) -> bool:
        try:
            self._retried(lambda: obstore.put(self._store, key, b"", mode=mode), f"writing {self._uri(key)}")
        except (PreconditionError, AlreadyExistsError):
            return True
        return False

    def list(self, prefix: str, after: str = "") -> list[ObjectInfo]:
        """Every object below a prefix (a folder's name without a trailing slash) whose key sorts after one, in any order."""

        def once() -> list[ObjectInfo]:
            pages = obstore.list(self._store, prefix or None, offset=after or None, chunk_size=1000)
            return [_info(listed) for page in pages for listed in page if listed["path"] > after]

        return self._retried(once, f"listing {self._uri(prefix)}")

    def list_around(self, prefix: str, refused: Callable[[str], None], after: str = "") -> Iterator[ObjectInfo]:
        """As :meth:`list`, where an object may have a name that cannot be asked for, such as ``a//b``.

        Such a name costs its own folder: that is left out, and what lies beside it is listed folder by folder.

        Args:
            prefix: As for :meth:`list`.
            refused: Is told of each folder that is left out.
            after: As for :meth:`list`.
        """
        waiting: list[str] = []
        try:
            yield from self.list(prefix, after)
        except OddNameError:
            waiting.append(prefix)
        while waiting:
            folder = waiting.pop()
            try:
                below = partial(obstore.list_with_delimiter, self._store, folder or None)
                found = self._retried(below, f"listing {self._uri(folder)}")
            except OddNameError:
                refused(folder)
                continue
            yield from (_info(each) for each in found["objects"] if each["path"] > after)
            waiting += [each for each in found["common_prefixes"] if not lies_before(f"{each}/", after)]

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are ignored."""
        doomed = list(keys)
        if doomed:
            self._retried(lambda: obstore.delete(self._store, doomed), f"deleting below {self._uri('')}")

    def _uri(self, key: str) -> str:
        return f"{SCHEME}{self.name}/{key}"

    def _unknown(self, key: str) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            f"no response to the swap of {self._uri(key)}: it may or may not have happened",
            remedy="Run the same command again: it starts from what is there, and nothing is counted twice.",
        )

    def _retried(self, call: Callable[[], _T], doing: str) -> _T:
        """Retry a request that is safe to repeat; missing and changed objects are for the caller to judge."""
        end = time.monotonic() + RETRY_SECONDS
        for attempt in range(ATTEMPTS):
            _pause(attempt)
            try:
                return call()
            except (PreconditionError, AlreadyExistsError):
                raise
            except (BaseError, OSError, ValueError) as error:
                if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
                    raise
                clear = self._clear(error, doing)
                exhausted = re.search(r", after \d+ retries", str(error)) or time.monotonic() >= end
                if not isinstance(clear, TransientError) or exhausted or attempt == ATTEMPTS - 1:
                    raise clear from error
        raise AssertionError(doing)

    def _clear(self, error: Exception, doing: str) -> ShoplakeError:
        return explain(Failure(error, doing, self.name, self.endpoint or "AWS"))


def _client_options(endpoint: str) -> ClientConfig:
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=STALLED_SECONDS),
        "timeout": timedelta(seconds=_REQUEST_SECONDS),
    }
    if endpoint.startswith("http://"):
        options["allow_http"] = True
    return options


def _retries() -> RetryConfig:
    return {
        "max_retries": RETRIES,
        "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        "backoff": {
            "init_backoff": timedelta(seconds=PAUSE_SECONDS / 2),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }


def _credentials(settings: Mapping[str, str]) -> S3CredentialProvider | None:
    """A provider of credentials where the environment has none; None leaves them to the client.

    The client itself supports web identities, containers and instance roles. Profiles and single sign-on need boto3.
    """
    if settings.get("AWS_ACCESS_KEY_ID") or settings.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1"):
        return None
    if find_spec("boto3") is not None:
        from obstore.auth.boto3 import Boto3CredentialProvider

        try:
            return Boto3CredentialProvider()
        except ValueError:
            pass  # boto3 has none either
        except Exception as error:  # botocore's own, such as an unknown profile; its classes are not ours to know
            raise UsageError(f"no credentials for S3: {error}", remedy="Check AWS_PROFILE and ~/.aws.") from error
    elif settings.get("AWS_PROFILE"):
        raise UsageError("AWS_PROFILE is set, but profiles need boto3", remedy=installing("aws"))
    others = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    if not any(settings.get(name) for name in others) and not _on_an_instance(settings):
        raise no_credentials("opening the bucket")
    return None


def _on_an_instance(settings: Mapping[str, str]) -> bool:
    """Whether the metadata service of an instance can be reached; without this check its absence costs a minute."""
    if settings.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    try:
        socket.create_connection((METADATA_HOST, 80), timeout=1).close()
    except OSError:
        return False
    return True


def _info(listed: ObjectMeta) -> ObjectInfo:
    tag = listed["e_tag"]
    strong = "" if tag is None or tag.startswith("W/") else tag.strip('"')  # two contents may share a weak one
    return ObjectInfo(listed["path"], listed["size"], strong, listed["last_modified"])


def _pause(attempt: int) -> None:
    if attempt:
        time.sleep(random.uniform(0.5, 1) * PAUSE_SECONDS * 2**attempt)  # noqa: S311 - jitter, not cryptography
