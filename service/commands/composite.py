"""``cup4soil composite``: bare-soil composites from a Sentinel-2 archive."""

from pathlib import Path
from typing import Any

import click

from cup4soil.errors import InvalidInput, NotFound
from cup4soil.settings import Settings
from producers.composite import plan_composite
from producers.composite_request import CompositeRequest, utc_day
from service.commands.options import bbox_option, bounds, deliver_and_show, json_option, store_option


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--threshold", required=True, metavar="NUMBER|RASTER", help="Largest PVIR2 that counts as bare soil.")
@bbox_option("Area as west south east north in degrees.")
@click.option("--aoi", type=click.Path(path_type=Path), help="Area as a GeoJSON file with polygons.")
@click.option("--tile", help="Tile of the European grid, such as 0042-0030.")
@click.option("--start", metavar="DATE", help="First day, as 2021-01-01.")
@click.option("--end", metavar="DATE", help="Last day.")
@click.option(
    "--max-cloud",
    "max_cloud_percent",
    type=click.FloatRange(0, 100),
    default=80.0,
    show_default=True,
    help="Leave out cloudier scenes (%).",
)
@click.option("--landcover", "land_cover", type=click.Path(path_type=Path), help="Raster with ESA WorldCover codes.")
@click.option("--resolution", "resolution_m", type=float, default=20.0, show_default=True, help="Edge of a cell (m).")
@click.option(
    "--crs", default="auto", show_default=True, help="CRS of the result; auto is the scenes' own, else EPSG:3035."
)
@click.option(
    "--boa-offset",
    "boa_offset_dn",
    type=float,
    help="Offset of the archive's numbers (-1000 or 0) where its metadata are silent or wrong.",
)
@click.option(
    "--collection",
    "collections",
    multiple=True,
    default=("sentinel-2-l2a",),
    show_default=True,
    help="Collection to ask an API for.",
)
@click.option("--attribution", multiple=True, help="Whom else to credit, such as the makers of the land cover.")
@store_option
@json_option
def composite(
    source: str,
    out: Path,
    threshold: str,
    bbox: Any,
    start: str | None,
    end: str | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Composite the scenes of SOURCE into the folder OUT.

    SOURCE is a STAC catalog file (catalog.json) or the address of a STAC API.
    """
    settings = Settings()
    request = CompositeRequest(
        source=source,
        threshold=_threshold(threshold),
        bbox=bounds(bbox),
        start=utc_day(start) if start else None,
        end=utc_day(end, end=True) if end else None,
        **given,
    )
    deliver_and_show(plan_composite(request, settings), out, store, settings, as_json=as_json)


def _threshold(text: str) -> float | Path:
    try:
        return float(text)
    except ValueError:
        path = Path(text)
    if path.is_file():
        return path
    if path.suffix.lower() in {".tif", ".tiff"}:
        raise NotFound(f"no threshold raster {text}", "give a number such as 0.2065, or a GeoTIFF")
    raise InvalidInput(
        f"threshold {text!r} is neither a number nor a raster", "give a number such as 0.2065, or a GeoTIFF"
    )
