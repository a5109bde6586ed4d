"""``cup4soil thresholds``: regional thresholds of the bare-soil index."""

from pathlib import Path

import click

from cup4soil.settings import Settings
from producers.thresholds import RESOLUTION_M, ThresholdRequest, plan_thresholds
from service.commands.archive_options import legend_option
from service.commands.options import deliver_and_show, json_option, store_option


@click.command()
@click.argument("index", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--landcover", "land_cover", required=True, type=click.Path(path_type=Path), help="Raster of land-cover codes."
)
@legend_option
@click.option(
    "--regions",
    type=click.Path(path_type=Path),
    help="Regions as a GeoJSON file; by default the Sentinel-2 tiles of INDEX.",
)
@click.option(
    "--resolution",
    "resolution_m",
    type=float,
    default=RESOLUTION_M,
    show_default=True,
    help="Edge of a cell of the surface (m).",
)
@click.option("--crs", default="auto", show_default=True, help="CRS of the surface; auto is that of INDEX.")
@click.option("--attribution", multiple=True, help="Whom else to credit, such as the makers of the land cover.")
@store_option
@json_option
def thresholds(
    index: tuple[Path, ...],
    out: Path,
    land_cover: Path,
    legend: str,
    regions: Path | None,
    resolution_m: float,
    crs: str,
    attribution: tuple[str, ...],
    store: Path | None,
    as_json: bool,
) -> None:
    """Find thresholds by region (HISET) from the products INDEX... and bring them to a surface in the folder OUT.

    INDEX are folders of index products or composites; THRESHOLDS.tif in OUT is what --threshold of composite reads.
    """
    settings = Settings()
    request = ThresholdRequest(
        index=index,
        land_cover=land_cover,
        legend=legend,
        regions=regions,
        resolution_m=resolution_m,
        crs=crs,
        attribution=attribution,
    )
    deliver_and_show(plan_thresholds(request, settings), out, store, settings, as_json=as_json)
