"""What a deployment would do and what a day would cost then, without doing it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from shoplake.aws import bundles, clients, costs, deploy
from shoplake.aws.deploy import Wanted
from shoplake.aws.stack import Cloud
from shoplake.text import size

_RESOURCE = re.compile(r"^  (\w+):\n(?:    .*\n)*?    Type: (AWS|Custom)::", re.MULTILINE)
_PARAMETER = r"^  {}:\n(?:    .*\n)*?    Default: '?(.*?)'?\n"


def preview(wanted: Wanted, cloud: Cloud) -> list[tuple[str, str]]:
    """Say what :func:`shoplake.aws.deploy.deploy` would do; what it would upload is built and thrown away.

    Returns:
        What, and the details: the stack, its parameters and resources, the upload, and the cost of a day.

    Raises:
        UsageError: As a deployment would.
        FatalError: The package cannot be built.
    """
    with clients.explained(f"looking at {wanted.name}"):
        found = deploy.look(wanted, cloud)
        lines = [("stack", f"{'update' if found else 'create'} {wanted.name}")]
        lines += _resources(_template(found, cloud), wanted.body)
        old = deploy.parameters_of(found)
        for name, value in {"StudentId": wanted.student, **wanted.parameters}.items():
            if old.get(name) != value:
                lines.append(("parameter", f"{name}: {old[name]} -> {value}" if name in old else f"{name}: {value}"))
        if wanted.builds:
            lines += _uploads(wanted, old.get("Bundle", ""))
        return [*lines, ("a day", _cost({**old, **wanted.parameters}, wanted.body))]


def _template(found: dict[str, Any] | None, cloud: Cloud) -> str:
    if found is None:
        return ""
    return str(cloud.client("cloudformation").get_template(StackName=found["StackName"])["TemplateBody"])


def _resources(before: str, after: str) -> list[tuple[str, str]]:
    old, new = ({found[1] for found in _RESOURCE.finditer(text)} for text in (before, after))
    if not old:
        return [("resources", f"up to {len(new)}, as the parameters say")]
    lines = [("new resource", name) for name in sorted(new - old)]
    lines += [("resource that goes", name) for name in sorted(old - new)]
    return lines or [("resources", "the same" + ("" if before == after else ", with other properties"))]


def _uploads(wanted: Wanted, there: str) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        made = bundles.build(wanted.need_checkout(), Path(folder), wanted.version)
        if made.key == there:
            return [("upload", f"nothing: {there} is there")]
        return [("upload", f"{key} ({size(path.stat().st_size)})") for key, path in made.keys.items()]


def _cost(parameters: dict[str, str], body: str) -> str:
    """The bill of a day with these parameters; others have the template's defaults."""

    def value(name: str) -> str:
        default = re.search(_PARAMETER.format(name), body, re.MULTILINE)
        return parameters.get(name) or (default[1] if default else "")

    every = int(value("ScheduleMinutes")) if value("Runner") == "glue" else None
    usage = costs.Usage(arrival_gib=float(value("MemoryMiB")) / 1024, dpus=int(value("Workers")))
    bill = costs.daily(every, usage)
    total = sum(line.dollars for line in bill)
    if value("Schedule") == "off":
        return f"paused; USD {total:.2f} when it runs (shoplake cost)"
    return f"USD {total:.2f}, of which {bill[0].what} {bill[0].dollars:.2f} (shoplake cost has the other lines)"
