"""``cup4soil train``: a soil model from samples and covariates."""

import json
from pathlib import Path
from typing import Any

import click

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.products import Period
from cup4soil.settings import Settings
from producers.composite_request import utc_day
from producers.jobs import Delivery
from producers.training import TrainRequest, plan_training
from service.commands.options import deliver_and_show, json_option, store_option


@click.command()
@click.argument("samples", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Column with the values to learn.")
@click.option("--property", "property_code", help="Soil property the column holds, such as soc.")
@click.option("--unit", required=True, help="Unit of the column, such as % or g/kg.")
@click.option("--id", "id_column", help="Column that names the profile.")
@click.option("--upper", help="Column with the upper depth (cm).")
@click.option("--lower", help="Column with the lower depth (cm).")
@click.option("--depth", help="Depth interval to map (cm), such as 0-20.")
@click.option("--x", required=True, help="Column with the easting or longitude.")
@click.option("--y", required=True, help="Column with the northing or latitude.")
@click.option("--crs", required=True, help="CRS of the coordinates, such as EPSG:3035.")
@click.option(
    "--covariates",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of rasters, raster, product folder or STAC item; may be repeated.",
)
@click.option("--features", default="", metavar="COL,...", help="Columns to learn from, instead of covariates.")
@click.option("--categorical", default="", metavar="NAME,...", help="Covariates that hold classes.")
@click.option("--texture", metavar="SAND,SILT,CLAY", help="Columns of the texture, where their names do not tell.")
@click.option(
    "--minimum-coverage", type=float, default=0.5, show_default=True, help="Share of the depth interval to be sampled."
)
@click.option("--sampled", metavar="FIRST/LAST", help="When the samples were taken, as 2018-04-01/2018-10-31.")
@click.option("--title", help="Title of the model.")
@click.option("--log", is_flag=True, help="Model the logarithm.")
@click.option("--licence", help="Licence (SPDX) of the samples; the maps follow it.")
@click.option("--attribution", help="Whom to credit for the samples.")
@click.option("--folds", type=int, default=10, show_default=True, help="Folds of the cross-validation.")
@click.option("--trees", type=int, default=500, show_default=True, help="Trees of the forest.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@store_option
@json_option
def train(
    samples: Path,
    model: Path,
    depth: str | None,
    id_column: str | None,
    features: str,
    categorical: str,
    texture: str | None,
    sampled: str | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Learn a soil property from SAMPLES (CSV), validate it, and write the folder MODEL."""
    settings = Settings()
    request = TrainRequest(
        samples=samples,
        id=id_column,
        depth=Depth.parse(depth) if depth else None,
        features=_names(features),
        categorical=_names(categorical),
        texture=_names(texture) if texture else None,
        period=_period(sampled) if sampled else None,
        **given,
    )
    job = plan_training(request, settings)
    told = _samples_as_json if as_json else _samples_in_words
    deliver_and_show(job, model, store, settings, as_json=as_json, more=told)


def _samples_as_json(delivery: Delivery) -> dict[str, Any]:
    """What became of the rows of the table."""
    samples = json.loads((delivery.folder / "report.json").read_text(encoding="utf-8"))["samples"]
    return {"samples": {key: samples[key] for key in ("rows_in_file", "rows_used", "samples", "excluded", "warnings")}}


def _samples_in_words(delivery: Delivery) -> dict[str, Any]:
    samples = _samples_as_json(delivery)["samples"]
    excluded = ", ".join(f"{count} {reason}" for reason, count in samples["excluded"].items())
    return {
        "samples": f"{samples['samples']} from {samples['rows_used']} of {samples['rows_in_file']} rows",
        "excluded rows": excluded or None,
        "warning": " ".join(samples["warnings"]) or None,
    }


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(set(names)) != len(names):
        raise InvalidInput(f"{text!r} names a column twice", "name each once")
    return names


def _period(text: str) -> Period:
    first, separator, last = text.partition("/")
    if not separator:
        raise InvalidInput(f"--sampled {text!r} is no interval", "give first and last day, as 2018-04-01/2018-10-31")
    start, end = utc_day(first), utc_day(last, end=True)
    if start > end:
        raise InvalidInput(f"--sampled {text!r} ends before it starts", "swap the two days")
    return Period(start=start, end=end)
