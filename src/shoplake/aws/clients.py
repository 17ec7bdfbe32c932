"""Clients of AWS, and what their failures mean in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shoplake.errors import FatalError, ShoplakeError, TransientError, UsageError

_OLD_KEYS = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_WRONG_KEYS = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_BUSY = {"Throttling", "ThrottlingException", "TooManyRequestsException", "ServiceUnavailable", "InternalFailure"}


def client(service: str, region: str | None = None) -> Any:
    """A client of a service; credentials and region come from the usual environment.

    Raises:
        UsageError: boto3 is not installed, or no region is known.
    """
    try:
        import boto3
        from botocore.exceptions import NoRegionError, ProfileNotFound
    except ImportError as missing:
        raise UsageError("AWS needs a further package", remedy="pip install 'shoplake[aws]'") from missing
    try:
        return boto3.client(service, region_name=region)
    except NoRegionError as error:
        raise UsageError("no AWS region is named", remedy="Give --region us-west-2, or set AWS_REGION.") from error
    except ProfileNotFound as error:
        raise UsageError(str(error), remedy="Check AWS_PROFILE and ~/.aws/config.") from error


def code(error: Exception) -> str:
    """AWS's code of an error, or nothing."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns failures of AWS into errors with a remedy.

    Args:
        doing: What is being done, as the message's beginning.
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
            f"{doing}: there are no AWS credentials",
            remedy="Sign in (aws configure, aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and its companions.",
        )
    if what in _OLD_KEYS or isinstance(error, TokenRetrievalError):
        return UsageError(f"{doing}: the AWS credentials are not valid any more", remedy="Sign in again.")
    if what in _WRONG_KEYS:
        return UsageError(f"{doing}: AWS does not know the credentials ({what})", remedy="Check them, and the profile.")
    if what in _DENIED:
        return FatalError(f"{doing}: access is denied: {error}", remedy="docs/aws.md lists the permissions it needs.")
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError) or what in _BUSY:
        return TransientError(
            f"{doing}: AWS does not answer: {error}", remedy="Check the region's name and the network; then try again."
        )
    return FatalError(f"{doing}: {error}", remedy="docs/aws.md tells what is needed.")
