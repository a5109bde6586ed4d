"""``cup4soil composite``: bare-soil composites from a Sentinel-2 archive."""

from pathlib import Path
from typing import Any

import click

from cup4soil.errors import InvalidInput, NotFound
from cup4soil.settings import Settings
from producers.block_runs import Execution
from producers.composite_delivery import HISET, deliver_composites, threshold_surface, tiles_with_scenes
from producers.composite_request import CompositeRequest, utc_day
from service.commands.archive_options import archive_options, legend_option, method_option
from service.commands.options import bounds, json_option, open_store, show_deliveries, store_option
from service.console import ConsoleProgress

_AUTO = "auto"


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--threshold",
    metavar="NUMBER|RASTER|hiset",
    help="Largest index that counts as bare soil; hiset finds it by region from the index and land cover.",
)
@method_option
@archive_options
@click.option(
    "--tile",
    "tiles",
    multiple=True,
    help="Tile of the European grid, such as 0042-0030; several, or auto for all that area or scenes touch.",
)
@click.option(
    "--years",
    multiple=True,
    type=click.IntRange(1, 50),
    help="A product for every run of so many calendar years; several lengths come from one reading.",
)
@click.option("--seasons", is_flag=True, help="A product for each season of the whole period, from the same reading.")
@click.option("--landcover", "land_cover", type=click.Path(path_type=Path), help="Raster of land-cover codes.")
@legend_option
@click.option(
    "--regions",
    type=click.Path(path_type=Path),
    help="With hiset: regions as a GeoJSON file; by default the Sentinel-2 tiles.",
)
@click.option("--resolution", "resolution_m", type=float, default=20.0, show_default=True, help="Edge of a cell (m).")
@store_option
@json_option
def composite(
    source: str,
    out: Path,
    threshold: str | None,
    bbox: Any,
    tiles: tuple[str, ...],
    start: str | None,
    end: str | None,
    regions: Path | None,
    max_broken_percent: float,
    scheduler: str | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Composite the scenes of SOURCE into the folder OUT.

    SOURCE is a STAC catalog file (catalog.json) or the address of a STAC API. Of several tiles or windows, each product
    gets a folder of its own in OUT. A run that was interrupted goes on where it stood when it is started again.
    """
    settings, progress = Settings(), ConsoleProgress()
    execution = Execution(scheduler, max_broken_percent)
    request = CompositeRequest(
        source=source,
        threshold=None if threshold is None or threshold == HISET else _threshold(threshold),
        bbox=bounds(bbox),
        start=utc_day(start) if start else None,
        end=utc_day(end, end=True) if end else None,
        **given,
    )
    target = open_store(store, settings)
    if _AUTO in tiles:
        tiles = tiles_with_scenes(request)
    elif tiles and (request.bbox or request.aoi):
        raise InvalidInput("more than one area is given", "use one of --bbox, --aoi and --tile")
    if threshold == HISET:
        surface = threshold_surface(request, tiles, regions, out, target, settings, execution, progress)
        request = request.model_copy(update={"threshold": surface})
    elif regions is not None:
        raise InvalidInput("--regions is for --threshold hiset", "leave it out")
    made = list(deliver_composites(request, tiles, out, target, settings, execution, progress))
    show_deliveries(made, as_json=as_json)


def _threshold(text: str) -> float | Path:
    try:
        return float(text)
    except ValueError:
        path = Path(text)
    if path.is_file():
        return path
    if path.suffix.lower() in {".tif", ".tiff"}:
        raise NotFound(f"no threshold raster {text}", "give a number such as 0.2065, a GeoTIFF, or hiset")
    raise InvalidInput(
        f"threshold {text!r} is neither a number nor a raster", "give a number such as 0.2065, a GeoTIFF, or hiset"
    )
