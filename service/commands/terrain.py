"""``cup4soil terrain``: covariates from an elevation model."""

from pathlib import Path
from typing import Any

import click

from cup4soil.settings import Settings
from producers.terrain import TerrainRequest, plan_terrain
from service.commands.options import deliver_and_show, json_option, store_option


@click.command()
@click.argument("dem", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--band", help="Name of the elevation, in a raster of several bands.")
@click.option(
    "--scale",
    "scales_m",
    multiple=True,
    type=float,
    metavar="METRES",
    help="How far to each side a cell's position is looked at; may be repeated.  [default: 5, 15 and 45 cells]",
)
@click.option(
    "--flow/--no-flow",
    default=True,
    show_default=True,
    help="Contributing area, wetness and valley bottoms, which take the whole model into memory.",
)
@click.option("--licence", help="Licence (SPDX) of the elevation model, where it states none.")
@click.option("--attribution", help="Whom to credit for the elevation model, where it states nobody.")
@click.option("--title", help="Title of the product.")
@store_option
@json_option
def terrain(dem: Path, out: Path, store: Path | None, as_json: bool, **given: Any) -> None:
    """Make covariates of the elevation model DEM into the folder OUT.

    Slope, northness and eastness, curvature, roughness, position at several scales; contributing area, wetness, valley
    bottom and ridge top flatness. DEM is in metres, in a projected CRS that counts in metres.
    """
    settings = Settings()
    job = plan_terrain(TerrainRequest(dem=dem, **given), settings)
    deliver_and_show(job, out, store, settings, as_json=as_json)
