"""Deploys a running pipeline to an AWS account, and destroys it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shoplake.aws import bundles, clients, stack
from shoplake.aws.bundles import Bundles
from shoplake.aws.stack import Cloud, Event
from shoplake.errors import UsageError

_ROLES = ("GeneratorRole", "PipelineRole", "SetupRole")
_DEFAULT_ROLE = "LabRole"
_ACTIVE = ("STARTING", "RUNNING", "WAITING")
STOP_POLLS = 60


@dataclass(frozen=True)
class Wanted:
    """What to deploy.

    Attributes:
        student: Part of the name of everything in the stack.
        name: The stack's name.
        body: The template.
        version: The version of shoplake.
        parameters: Parameters of the template beside ``StudentId``.
        checkout: The source tree that the package is built from; None where shoplake is installed.
        published: Whether this version can be installed by its name.
    """

    student: str
    name: str
    body: str
    version: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    checkout: Path | None = None
    published: bool = False

    @property
    def builds(self) -> bool:
        """Whether the package is built and uploaded, or installed by its name."""
        return not self.parameters.get("ShoplakePackage") and self.checkout is not None

    def need_checkout(self) -> Path:
        """The source tree of a deployment that builds."""
        if self.checkout is None:
            raise ValueError("only a checkout builds")
        return self.checkout


def own_checkout() -> Path | None:
    """The source tree that this package runs from, None if it is installed."""
    root = Path(__file__).parents[3]
    return root if (root / "pyproject.toml").is_file() else None


def deploy(wanted: Wanted, cloud: Cloud) -> dict[str, str]:
    """Create or update the stack, upload the package, and start what runs the pipeline. Idempotent.

    What someone stopped on purpose stays stopped: a trigger that was deactivated, a rule that was disabled.

    Returns:
        The stack's outputs.

    Raises:
        UsageError: Credentials, the region, a role or a name is wrong, or there is nothing to install.
        FatalError: A step of the stack failed, or the package cannot be built.
    """
    with clients.explained(f"deploying {wanted.name}"):
        found = look(wanted, cloud)
        parameters = {"StudentId": wanted.student, **wanted.parameters}
        if not wanted.builds:
            outputs = stack.apply(cloud, wanted.name, wanted.body, {**parameters, "Bundle": ""})
        else:
            with tempfile.TemporaryDirectory() as folder:
                made = bundles.build(wanted.need_checkout(), Path(folder), wanted.version)  # may fail: before all else
                if found is None:
                    outputs = stack.apply(cloud, wanted.name, wanted.body, parameters)
                    upload(cloud, outputs["LakeBucketName"], made)
                else:
                    upload(cloud, _outputs(found)["LakeBucketName"], made)
                outputs = stack.apply(cloud, wanted.name, wanted.body, {**parameters, "Bundle": made.key})
                _remove_others(cloud, outputs["LakeBucketName"], {made.key, parameters_of(found).get("Bundle", "")})
        _start(cloud, outputs.get("GlueTriggerName"))
    return outputs


def upload(cloud: Cloud, bucket: str, made: Bundles) -> None:
    """Upload bundles, unless the very same ones are there."""
    s3 = cloud.client("s3")
    there = {one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=made.key).get("Contents", ())}
    for key, path in made.keys.items():
        if key not in there:
            s3.upload_file(str(path), bucket, key)


def look(wanted: Wanted, cloud: Cloud) -> dict[str, Any] | None:
    """The stack as it is, after everything that can be wrong before it is touched was looked at."""
    if not (wanted.builds or wanted.published or wanted.parameters.get("ShoplakePackage")):
        raise UsageError(
            f"shoplake {wanted.version} is not published, so AWS would have nothing to install",
            remedy="Run this from a checkout, with the Python of its environment, or name what AWS is to install:"
            " --parameter ShoplakePackage=...",
        )
    cloud.client("cloudformation")  # fails early if no region is configured
    cloud.client("sts").get_caller_identity()  # and if there are no credentials
    _check_roles(cloud, wanted.parameters)
    return stack.describe(cloud, wanted.name)


def _outputs(found: dict[str, Any]) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}


def parameters_of(found: dict[str, Any] | None) -> dict[str, str]:
    """The values of a stack's parameters; none if there is no stack."""
    return {one["ParameterKey"]: one["ParameterValue"] for one in (found or {}).get("Parameters", ())}


def _remove_others(cloud: Cloud, bucket: str, kept: Collection[str]) -> None:
    """Remove earlier uploads; the one before stays, since a run of it may just be starting."""
    s3 = cloud.client("s3")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="code/").get("Contents", ())
    for key in (one["Key"] for one in listed):
        suffix = next((suffix for suffix in bundles.SUFFIXES if key.endswith(suffix)), None)
        if suffix and key.removesuffix(suffix) not in kept:
            s3.delete_object(Bucket=bucket, Key=key)


def destroy(name: str, cloud: Cloud) -> bool:
    """Stop the pipeline and delete the stack with everything in it, unless its parameter KeepData says otherwise.

    Returns:
        Whether there was such a stack.

    Raises:
        FatalError: A step failed; the message says what is left.
    """
    with clients.explained(f"removing {name}"):
        found = stack.describe(cloud, name)
        outputs = _outputs(found or {})
        _stop(cloud, outputs.get("GlueTriggerName"), outputs.get("GlueJobName"))
        return stack.remove(cloud, name)


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


def _start(cloud: Cloud, trigger: str | None) -> None:
    """Start a trigger that was never started; one that someone stopped stays so."""
    if not trigger:
        return
    glue = cloud.client("glue")
    state = glue.get_trigger(Name=trigger)["Trigger"]["State"]
    if state == "CREATED":
        glue.start_trigger(Name=trigger)
    elif state == "DEACTIVATED":
        hint = f"it was stopped, and stays so: aws glue start-trigger --name {trigger}"
        cloud.tell(Event("Trigger", "AWS::Glue::Trigger", state, hint))


def _stop(cloud: Cloud, trigger: str | None, job: str | None) -> None:
    """Make sure that no run of the job writes into what is being deleted."""
    glue = cloud.client("glue")
    try:
        if trigger and glue.get_trigger(Name=trigger)["Trigger"]["State"] == "ACTIVATED":
            glue.stop_trigger(Name=trigger)
        if not job:
            return
        glue_runs = partial(glue.get_job_runs, JobName=job, MaxResults=10)
        active = [run["Id"] for run in glue_runs()["JobRuns"] if run["JobRunState"] in _ACTIVE]
        if active:
            glue.batch_stop_job_run(JobName=job, JobRunIds=active)
        for _ in range(STOP_POLLS):
            if not any(run["JobRunState"] in (*_ACTIVE, "STOPPING") for run in glue_runs()["JobRuns"]):
                return
            cloud.sleep(stack.POLL_SECONDS)
    except glue.exceptions.EntityNotFoundException:
        return
