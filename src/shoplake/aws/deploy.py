"""Deploys a running pipeline to an AWS account from a checkout or an installed package, and destroys it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any

from shoplake.aws import clients, stack
from shoplake.aws.stack import Cloud
from shoplake.errors import FatalError, UsageError

_ROLES = ("GeneratorRole", "PipelineRole", "SetupRole")
_DEFAULT_ROLE = "LabRole"


@dataclass(frozen=True)
class Wanted:
    """What to deploy.

    Attributes:
        student: Part of the name of everything in the stack.
        name: The stack's name.
        body: The template.
        version: The release that Glue installs if there is no checkout.
        parameters: Parameters of the template beside ``StudentId``.
        checkout: The source tree whose wheel is built and uploaded; None to install the release of the same version.
    """

    student: str
    name: str
    body: str
    version: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    checkout: Path | None = None


def own_checkout() -> Path | None:
    """The source tree that this package runs from, None if it is installed."""
    root = Path(__file__).parents[3]
    return root if (root / "pyproject.toml").is_file() else None


def deploy(wanted: Wanted, cloud: Cloud) -> dict[str, str]:
    """Create or update the stack, upload the wheel, and start the trigger. Idempotent.

    Returns:
        The stack's outputs.

    Raises:
        UsageError: Credentials, the region, a role or a name is wrong.
        FatalError: A step of the stack failed.
    """
    with clients.explained(f"deploying {wanted.name}"):
        cloud.client("cloudformation")  # fails early if no region is configured
        cloud.client("sts").get_caller_identity()  # and if there are no credentials
        _check_roles(cloud, wanted.parameters)
        release = "" if wanted.checkout else f"shoplake[s3]=={wanted.version}"  # empty: the template's own, the wheel
        parameters = {"StudentId": wanted.student, "ShoplakePackage": release, **wanted.parameters}
        with tempfile.TemporaryDirectory() as folder:
            wheel = None
            if wanted.checkout and not parameters["ShoplakePackage"]:
                wheel = build_wheel(wanted.checkout, Path(folder))  # before anything is created, since it may fail
            outputs = stack.apply(cloud, wanted.name, wanted.body, parameters)
            if wheel:
                with wheel.open("rb") as content:
                    bucket = outputs["LakeBucketName"]
                    cloud.client("s3").put_object(Bucket=bucket, Key=f"code/{wheel.name}", Body=content)
        _start(cloud.client("glue"), outputs.get("GlueTriggerName"))
    return outputs


def destroy(name: str, cloud: Cloud) -> bool:
    """Stop the pipeline and delete the stack with everything in it, unless its parameter KeepData says otherwise.

    Returns:
        Whether there was such a stack.

    Raises:
        FatalError: A step failed; the message says what is left.
    """
    with clients.explained(f"removing {name}"):
        found = stack.describe(cloud, name)
        outputs = {one["OutputKey"]: one["OutputValue"] for one in (found or {}).get("Outputs", [])}
        _stop(cloud.client("glue"), outputs.get("GlueTriggerName"), outputs.get("GlueJobName"))
        return stack.remove(cloud, name)


def build_wheel(checkout: Path, folder: Path) -> Path:
    """Build the wheel of a source tree into a folder, for any platform.

    Raises:
        FatalError: It cannot be built.
    """
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(checkout)]
    if util.find_spec("hatchling"):
        command.append("--no-build-isolation")
    anywhere = {**os.environ, "SHOPLAKE_TARGET": "any"}  # Glue has another system than this machine
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=anywhere)  # noqa: S603 - our own words
    if done.returncode:
        raise FatalError(f"the wheel cannot be built: {done.stderr.strip()[-500:]}", remedy="pip install hatchling")
    return next(folder.glob("shoplake-*.whl"))


def _check_roles(cloud: Cloud, parameters: Mapping[str, str]) -> None:
    """Check that the roles exist before anything is created; without permission to look, the stack will tell."""
    service = cloud.client("iam")
    wanted = {parameters.get(role, _DEFAULT_ROLE) for role in _ROLES} | {parameters.get("SchedulerRole", "")}
    for name in sorted(wanted - {""}):
        try:
            service.get_role(RoleName=name.rpartition("/")[2])
        except service.exceptions.NoSuchEntityException as error:
            raise UsageError(
                f"this account has no role {name}",
                remedy="Create roles with infra/roles.cfn.yaml and pass them: --parameter PipelineRole=... (docs/aws.md).",
            ) from error
        except service.exceptions.ClientError as error:
            if "AccessDenied" not in clients.code(error):
                raise


def _start(glue: Any, trigger: str | None) -> None:
    if trigger and glue.get_trigger(Name=trigger)["Trigger"]["State"] in ("CREATED", "DEACTIVATED"):
        glue.start_trigger(Name=trigger)


def _stop(glue: Any, trigger: str | None, job: str | None) -> None:
    """Make sure that no run writes into what is being deleted."""
    missing = glue.exceptions.EntityNotFoundException
    try:
        if trigger and glue.get_trigger(Name=trigger)["Trigger"]["State"] == "ACTIVATED":
            glue.stop_trigger(Name=trigger)
        if job:
            runs = glue.get_job_runs(JobName=job, MaxResults=10)["JobRuns"]
            active = [run["Id"] for run in runs if run["JobRunState"] in ("STARTING", "RUNNING", "WAITING")]
            if active:
                glue.batch_stop_job_run(JobName=job, JobRunIds=active)
    except missing:
        return
