"""``shoplake dashboard``: the lake in a browser, or as a page to send to someone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoplake import settings
from shoplake.cli import options, output, serving
from shoplake.errors import FatalError
from shoplake.text import size

if TYPE_CHECKING:
    from shoplake.web.data import Shop


@click.command(
    epilog=options.examples(
        "shoplake dashboard --lake lake --open",
        "shoplake dashboard --lake lake --source raw --port 8090",
        "shoplake dashboard --lake lake --source raw --export shop.html",
    )
)
@options.lake
@options.source
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; by default only this machine."
)
@click.option(
    "--port", type=options.whole(0, 65_535), default=8080, show_default=True, help="Port; 0 chooses a free one."
)
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--export",
    "path",
    type=options.Written(),
    metavar="FILE.html",
    help="Write the page with its data to one file and exit.",
)
def dashboard(lake: str | None, source: str | None, host: str, port: int, show: bool, path: str | None) -> None:
    """Show the five answers and the health of the lake in a browser.

    It is read-only and follows the lake as it grows. --export writes a page that needs neither a server nor a network.
    """
    from shoplake.api.setup import lake_of, source_of
    from shoplake.web.data import Shop

    chosen = settings.load({"lake": lake, "source": source})
    shop = Shop(lake_of(chosen), source_of(chosen), chosen)
    if path:
        _export(shop, Path(path))
    else:
        _serve(shop, host, port, show)


def _export(shop: Shop, path: Path) -> None:
    from shoplake.storage.atomic import replacing
    from shoplake.web import counts, data, pages

    answers = data.answers(shop, None, None)
    page = pages.whole(answers, data.health(shop, datetime.now(UTC)), counts.of_all_days(shop, answers["events"]))
    try:
        with replacing(path) as stream:  # whoever has the page open, or serves it, sees the old one or the new one
            stream.write(page.encode())
    except OSError as error:
        raise FatalError(f"{path} cannot be written: {error.strerror}", remedy="Choose another file.") from error
    output.say(f"Wrote {path} ({size(path.stat().st_size)}): one page that opens without a server.")


def _serve(shop: Shop, host: str, port: int, show: bool) -> None:
    with serving.on(host, port, "the dashboard") as (server, listening):
        from shoplake.web import app

        url = server.address(host, listening)
        output.say(f"Showing {shop.lake.root} at {url}")
        serving.warn(host)
        if show:
            click.launch(url)
        server.serve(app.create(shop, host, ahead=True), listening)
