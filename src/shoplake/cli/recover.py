"""``shoplake recover``: rebuilds a lost or damaged catalog."""

from __future__ import annotations

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.text import count, json_value


@click.command(
    epilog=options.examples(
        "shoplake recover --lake lake --dry-run",
        "shoplake recover --lake lake",
        "shoplake recover --lake lake --yes --format json",
    )
)
@options.lake
@click.option("--dry-run", is_flag=True, help="Show what would be recovered without changing anything.")
@options.yes
@click.option(
    "--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True, help="Output format."
)
def recover(lake: str | None, dry_run: bool, yes: bool, style: str) -> None:
    """Rebuild a lost or damaged catalog.json from the newest state of the tables that is whole.

    It shows that state and asks before it writes. A good catalog is never touched, and a damaged one is kept beside the new
    one. What was ingested after the recovered state is ingested again by the next shoplake ingest.
    """
    found = api.recover(lake, dry_run=True)
    if style == "table":
        output.say(f"Damage: {found.damage}")
        for state in found.passed_over:
            output.say(f"Not whole: version {state['state']} of {state['at']}: {state['reason']}")
        output.say(
            f"Newest whole state: version {found.state} of {json_value(found.at)}, {count(found.files, 'source file')}"
        )
        output.as_table(
            ("table", "rows", "metadata"), [(name, found.rows[name], path) for name, path in found.tables.items()]
        )
    if not dry_run:
        options.confirm(f"Rebuild the catalog of {found.lake} from it?", yes=yes)
        found = api.recover(lake)
    if style == "json":
        output.as_json(found.as_json() | {"dry_run": dry_run})
    elif dry_run:
        output.say("Nothing was changed.")
    else:
        output.say(
            f"Recovered. Check it: shoplake verify --lake {found.lake}; then ingest what is newer: shoplake ingest"
        )
