"""``shoplake catalog``: the lake as an Iceberg REST catalog, for every engine that attaches to one by a URL."""

from __future__ import annotations

import click

from shoplake import settings
from shoplake.cli import options, output, serving


@click.command(
    epilog=options.examples(
        "shoplake catalog --lake lake",
        "shoplake catalog --lake s3://my-bucket/lake --port 8182",
    )
)
@options.lake
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; by default only this machine."
)
@click.option(
    "--port", type=options.whole(0, 65_535), default=8181, show_default=True, help="Port; 0 chooses a free one."
)
def catalog(lake: str | None, host: str, port: int) -> None:
    """Serve the lake as a read-only Iceberg REST catalog.

    Spark, Trino, DuckDB, PyIceberg, Polars and ClickHouse attach to it by its URL and find every table in the namespace
    "shop". The catalog follows the lake as it grows; a client that names the warehouse "pinned" stays at one version. Each
    client reads the files by itself, with its own credentials.
    """
    from shoplake.api.setup import lake_of

    place = lake_of(settings.load({"lake": lake})).need()
    place.view()  # a damaged lake is an error now, not at every client's first request
    with serving.on(host, port, "the catalog") as (server, listening):
        from shoplake.web import rest_catalog

        url = server.address(host, listening).rstrip("/")
        output.say(f"Serving {place.root} as an Iceberg REST catalog at {url}")
        serving.warn(host)
        server.serve(rest_catalog.create(place, host), listening)
