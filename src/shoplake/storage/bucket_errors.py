"""What a failed request to S3 means, in plain words and with what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shoplake.errors import DeniedError, FatalError, ShoplakeError, TransientError, UsageError, installing

METADATA_HOST = "169.254.169.254"
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}

# Error codes of S3 and of the other services of AWS, which name the same failures differently.
UNKNOWN_CREDENTIALS = {
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
EXPIRED_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "TokenRefreshRequired",
}
BUSY = {
    "InternalError",
    "InternalFailure",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_BUSY_STATUSES = {408, 409, 425, 429}


class OddNameError(UsageError):
    """An object has a name that the client cannot ask for."""


@dataclass(frozen=True)
class Failure:
    """A failed request.

    Attributes:
        error: What the client raised.
        doing: What was being done, such as "reading s3://b/k".
        bucket: The bucket's name.
        place: The endpoint.
    """

    error: Exception
    doing: str
    bucket: str
    place: str

    @property
    def text(self) -> str:
        """The client's message without its debugging part."""
        return str(self.error).split("Debug source", maxsplit=1)[0]

    @property
    def code(self) -> str:
        """S3's error code, empty where there is none."""
        found = re.search(r"<Code>(\w+)</Code>", self.text)
        return found[1] if found else ""

    @property
    def status(self) -> int:
        """The HTTP status, 0 where there was no response."""
        found = re.search(r"status code: (\d+)", self.text)
        return int(found[1]) if found else 0

    @property
    def line(self) -> str:
        """Its first line."""
        return (self.text.strip() or type(self.error).__name__).splitlines()[0][:400]


def explain(failure: Failure) -> ShoplakeError:
    """The error to raise: a UsageError, a TransientError where the same call may work later, or a FatalError."""
    for rule in (_bucket, _region, _credentials, _access, _names, _transient):
        found = rule(failure)
        if found:
            return found
    return FatalError(
        f"{failure.doing}: {failure.line}",
        remedy=f"Is {failure.place} an S3 server, and are the AWS_... variables right?",
    )


def no_credentials(doing: str) -> UsageError:
    """The error to raise where there is nothing to sign a request with."""
    return UsageError(
        f"{doing}: there are no credentials for S3",
        remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or for a public bucket AWS_SKIP_SIGNATURE=true. For profiles"
        f" and single sign-on: {installing('aws')}",
    )


def _bucket(failure: Failure) -> ShoplakeError | None:
    if failure.code != "NoSuchBucket":
        return None
    return UsageError(
        f"there is no bucket {failure.bucket} at {failure.place}",
        remedy=f"Check its name and AWS_ENDPOINT_URL; or create it: aws s3 mb s3://{failure.bucket}",
    )


def _region(failure: Failure) -> ShoplakeError | None:
    if failure.code not in _WRONG_REGION and "incorrectly configured region" not in failure.text:
        return None
    right = re.search(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'", failure.text)
    region = (right[1] or right[2]) if right else "..."
    return UsageError(
        f"{failure.doing}: the bucket {failure.bucket} is in another region",
        remedy=f"Set its region: export AWS_REGION={region}",
    )


def _credentials(failure: Failure) -> ShoplakeError | None:
    if METADATA_HOST in failure.text:
        return no_credentials(failure.doing)
    if failure.code in UNKNOWN_CREDENTIALS:
        return UsageError(
            f"{failure.doing}: {failure.place} does not know the credentials ({failure.code})",
            remedy="Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile.",
        )
    if failure.code in EXPIRED_CREDENTIALS:
        return FatalError(
            f"{failure.doing}: the credentials are no longer valid ({failure.code})",
            remedy="Sign in again, or correct this machine's clock.",
        )
    return None


def _access(failure: Failure) -> ShoplakeError | None:
    if failure.status in (401, 403):
        return DeniedError(
            f"{failure.doing}: access is denied{f' ({failure.code})' if failure.code else ''}",
            remedy="The credentials need s3:ListBucket on the bucket, s3:GetObject on the source, and s3:GetObject,"
            " s3:PutObject and s3:DeleteObject on the lake; an encrypted bucket also needs permissions on its key.",
        )
    if failure.status == 501:
        return FatalError(
            f"{failure.doing}: the server at {failure.place} does not support this",
            remedy="A lake needs a server with conditional writes (If-Match and If-None-Match).",
        )
    return None


def _names(failure: Failure) -> ShoplakeError | None:
    told = ("Error parsing Path", "invalid path")
    if not isinstance(failure.error, ValueError) and not any(words in failure.text for words in told):
        return None
    return OddNameError(
        f"{failure.doing}: {failure.line}",
        remedy="Names with //, /./, /../ or control characters are not supported; rename those objects.",
    )


def _transient(failure: Failure) -> ShoplakeError | None:
    unanswered = not failure.status and (isinstance(failure.error, OSError) or "HTTP error" in failure.text)
    busy = failure.status >= 500 or failure.status in _BUSY_STATUSES or failure.code in BUSY
    if not unanswered and not busy:
        return None
    what = f"responded with {failure.status} {failure.code}".rstrip()
    if unanswered:
        what = "did not respond, or the response was cut off"
    return TransientError(
        f"{failure.doing}: {failure.place} {what}",
        remedy="Check AWS_ENDPOINT_URL and the network, then run the same command again.",
    )
