"""Clients of AWS services, and errors that explain their failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shoplake.errors import FatalError, ShoplakeError, TransientError, UsageError, installing
from shoplake.storage.bucket_errors import BUSY, EXPIRED_CREDENTIALS, UNKNOWN_CREDENTIALS

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


def client(service: str, region: str | None = None) -> Any:
    """A client of a service; credentials and region come from the usual environment.

    Raises:
        UsageError: boto3 is not installed, or no region is known.
    """
    try:
        import boto3
        from botocore.exceptions import NoRegionError, ProfileNotFound
    except ImportError as missing:
        raise UsageError("the AWS commands need a package that is not installed", remedy=installing("aws")) from missing
    try:
        return boto3.client(service, region_name=region)
    except NoRegionError as error:
        raise UsageError("no AWS region is configured", remedy="Give --region us-west-2, or set AWS_REGION.") from error
    except ProfileNotFound as error:
        raise UsageError(str(error), remedy="Check AWS_PROFILE and ~/.aws/config.") from error


def code(error: Exception) -> str:
    """The AWS error code, or an empty string."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns AWS failures into errors with a remedy.

    Args:
        doing: What is being done; the message begins with it.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _explain(error, doing) from error


def _explain(error: Exception, doing: str) -> ShoplakeError:
    from botocore.exceptions import (
        ConnectTimeoutError,
        EndpointConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
        ReadTimeoutError,
        TokenRetrievalError,
    )

    what = code(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return UsageError(
            f"{doing}: no AWS credentials were found",
            remedy="Sign in (aws configure, aws sso login), or set AWS_PROFILE or the AWS_ACCESS_KEY_ID variables.",
        )
    if what in EXPIRED_CREDENTIALS or isinstance(error, TokenRetrievalError):
        return UsageError(f"{doing}: the AWS credentials have expired", remedy="Sign in again.")
    if what in UNKNOWN_CREDENTIALS:
        return UsageError(
            f"{doing}: AWS rejected the credentials ({what})", remedy="Check the credentials and the profile."
        )
    if what in _DENIED:
        return FatalError(
            f"{doing}: access denied: {error}", remedy="docs/aws.md lists the permissions that are needed."
        )
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError) or what in BUSY:
        return TransientError(
            f"{doing}: AWS did not respond: {error}", remedy="Check the region name and the network, then try again."
        )
    return FatalError(f"{doing}: {error}", remedy="docs/aws.md describes what is needed.")
