"""``cup4soil predict``: a soil map from a model and covariates."""

from pathlib import Path
from typing import Any

import click

from cup4soil.settings import Settings
from producers.prediction import PredictRequest, plan_prediction
from service.commands.options import bbox_option, bounds, deliver_and_show, json_option, store_option


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
@bbox_option("Area as west south east north, in degrees unless --bbox-crs is given.")
@click.option("--bbox-crs", default="EPSG:4326", show_default=True, help="CRS of --bbox.")
@click.option("--aoi", type=click.Path(path_type=Path), help="Area as a GeoJSON file with polygons.")
@store_option
@json_option
def predict(
    model: Path, out: Path, covariates: tuple[Path, ...], bbox: Any, store: Path | None, as_json: bool, **given: Any
) -> None:
    """Map the property of MODEL over the covariates into the folder OUT."""
    settings = Settings()
    request = PredictRequest(model=model, covariates=covariates, bbox=bounds(bbox), **given)
    deliver_and_show(plan_prediction(request, settings), out, store, settings, as_json=as_json)
