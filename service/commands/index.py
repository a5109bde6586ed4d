"""``cup4soil index``: extremes of the bare-soil index, made anew or brought up to date."""

from pathlib import Path
from typing import Any

import click

from cup4soil.settings import Settings
from producers.block_runs import Execution
from producers.composite_request import utc_day
from producers.index import IndexRequest, plan_index
from service.commands.archive_options import archive_options, method_option
from service.commands.options import bounds, deliver_and_show, json_option, store_option


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@method_option
@click.option("--tile", help="Tile of the European grid, such as 0042-0030.")
@archive_options
@click.option(
    "--update",
    metavar="PREVIOUS",
    type=click.Path(path_type=Path),
    help="Folder of an earlier index product: only scenes that it was not made from are read.",
)
@store_option
@json_option
def index(
    source: str,
    out: Path,
    bbox: Any,
    start: str | None,
    end: str | None,
    max_broken_percent: float,
    scheduler: str | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the least and largest bare-soil index of each cell of SOURCE, and count its observations, into folder OUT.

    SOURCE is a STAC catalog file (catalog.json) or the address of a STAC API. What --update gives is equal to a product
    made anew; where it cannot be, it is refused. A run that was interrupted goes on when it is started again.
    """
    settings = Settings()
    request = IndexRequest(
        source=source,
        bbox=bounds(bbox),
        start=utc_day(start) if start else None,
        end=utc_day(end, end=True) if end else None,
        **given,
    )
    job = plan_index(request, settings, Execution(scheduler, max_broken_percent))
    deliver_and_show(job, out, store, settings, as_json=as_json)
