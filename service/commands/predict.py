"""``cup4soil predict``: soil maps from a model and covariates."""

from pathlib import Path
from typing import Any

import click

from cup4soil.depths import Depth
from cup4soil.settings import Settings
from producers.block_runs import Execution
from producers.prediction import PredictRequest, deliver_maps, plan_predictions
from service.commands.options import bbox_option, bounds, json_option, open_store, show_deliveries, store_option
from service.console import ConsoleProgress


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--covariates",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of rasters, raster, product folder or STAC item; may be repeated.",
)
@click.option("--property", "properties", multiple=True, help="Property to map, of a model of several; all without.")
@click.option("--depth", "depths", multiple=True, help="Depth to map, of a model of several; all without.")
@bbox_option("Area as west south east north, in degrees unless --bbox-crs is given.")
@click.option("--bbox-crs", default="EPSG:4326", show_default=True, help="CRS of --bbox.")
@click.option("--aoi", type=click.Path(path_type=Path), help="Area as a GeoJSON file with polygons.")
@click.option("--grid", type=click.Path(path_type=Path), help="Raster whose grid the covariates are brought to.")
@click.option("--title", help="Title of the map.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler to compute on; by default processes of this machine for large maps.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes of this machine (or CUP4SOIL_WORKERS).")
@store_option
@json_option
def predict(
    model: Path,
    out: Path,
    covariates: tuple[Path, ...],
    depths: tuple[str, ...],
    bbox: Any,
    scheduler: str | None,
    workers: int | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Map what MODEL is of over the covariates into the folder OUT.

    Of several properties or depths each gets a folder of its own in OUT, such as OUT/clay-0-10cm; they come from one
    walk through the model's trees. A run that was interrupted goes on where it stood when it is started again.
    """
    settings = Settings() if workers is None else Settings(workers=workers)
    wanted = tuple(Depth.parse(each) for each in depths)
    request = PredictRequest(model=model, covariates=covariates, bbox=bounds(bbox), depths=wanted, **given)
    run = plan_predictions(request, settings, Execution(scheduler))
    made = list(deliver_maps(run, out, open_store(store, settings), ConsoleProgress()))
    show_deliveries(made, as_json=as_json)
