"""``shoplake publish``: makes the current state of a lake visible to Athena."""

from __future__ import annotations

import click

from shoplake import settings
from shoplake.cli import options, output


@click.command(
    epilog=options.examples(
        "shoplake publish --lake s3://capstone-lake-alice-123456789012/lake --database shoplake_alice"
    )
)
@options.lake
@click.option("--database", required=True, metavar="NAME", help="The Glue database.")
@options.region
def publish(lake: str | None, database: str, region: str | None) -> None:
    """Make the current state of a lake on S3 visible to Athena, by updating the tables in the Glue Data Catalog.

    The Glue job does this after each batch. Run it yourself after your own ingest, maintenance or erasure.
    """
    from shoplake.api.setup import lake_of
    from shoplake.aws import clients, glue_catalog

    view = lake_of(settings.load({"lake": lake})).need_view()
    glue_catalog.publish(view, database, clients.client("glue", region))
    output.say(f"The tables of {database} are at version {view.version:,} of the lake.")
