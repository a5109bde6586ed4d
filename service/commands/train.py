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
from producers.jobs import Delivery, deliver
from producers.sites_job import deliver_sites
from producers.training import TrainJob, TrainRequest, plan_trainings
from service.commands.options import json_option, open_store, show_deliveries, store_option
from service.commands.sample_options import sample_reading_options, sample_source_options
from service.console import ConsoleProgress
from stac_catalog.store import Store


@click.command()
@click.argument("samples", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@sample_source_options
@click.option("--target", multiple=True, help="Column with the values to learn; may be repeated.")
@click.option(
    "--property",
    "property_code",
    multiple=True,
    help="Soil property the column holds, such as soc; one for each --target. Clay, silt and sand make a texture.",
)
@click.option("--unit", multiple=True, help="Unit of the column, such as % or g/kg; one for each --target, or all.")
@click.option("--id", "id_column", help="Column that names the profile.")
@click.option("--upper", help="Column with the upper depth (cm).")
@click.option("--lower", help="Column with the lower depth (cm).")
@click.option("--depth", help="Depth interval to map (cm), such as 0-20.")
@click.option("--depths", default="", metavar="A-B,...", help="Several depth intervals: a model in MODEL for each.")
@click.option("--three-d", is_flag=True, help="One model for all --depths: every horizon a sample, depth a feature.")
@click.option("--x", help="Column with the easting or longitude.")
@click.option("--y", help="Column with the northing or latitude.")
@click.option("--crs", help="CRS of the coordinates, such as EPSG:3035.")
@click.option(
    "--covariates",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of rasters, raster, product folder or STAC item; may be repeated.",
)
@click.option("--features", default="", metavar="COL,...", help="Columns to learn from, instead of covariates.")
@click.option("--categorical", default="", metavar="NAME,...", help="Covariates that hold classes.")
@click.option("--ordered", default="", metavar="NAME,...", help="Covariates that hold classes with an order.")
@click.option(
    "--computed",
    multiple=True,
    metavar="SPEC",
    help="Covariates to compute, such as indices:ndvi,nbr2@SRC or oblique:6.",
)
@click.option("--grid", type=click.Path(path_type=Path), help="Raster whose grid the covariates are brought to.")
@click.option("--texture", metavar="SAND,SILT,CLAY", help="Columns of the texture, where their names do not tell.")
@click.option(
    "--minimum-coverage", type=float, default=0.5, show_default=True, help="Share of the depth interval to be sampled."
)
@sample_reading_options
@click.option("--sampled", metavar="FIRST/LAST", help="When the samples were taken, as 2018-04-01/2018-10-31.")
@click.option("--title", help="Title of the model.")
@click.option("--log", is_flag=True, help="Model the logarithm.")
@click.option("--log-target", "log_targets", multiple=True, help="Model the logarithm of this --target only.")
@click.option(
    "--form",
    type=click.Choice(["all", "one"]),
    default="all",
    show_default=True,
    help="Quantiles from all samples of the leaves, or from one of each as SoilGrids takes them.",
)
@click.option(
    "--validation",
    type=click.Choice(["blocks", "knndm", "regions"]),
    default="blocks",
    show_default=True,
    help="Spatial folds: square blocks, folds as far apart as map and samples, or whole regions.",
)
@click.option("--block-size", type=float, help="Side of the blocks (m); by default from the samples.")
@click.option("--region-column", help="Column that names the region, with --validation regions.")
@click.option(
    "--calibrate/--no-calibrate",
    default=True,
    show_default=True,
    help="Whether the 90 % interval is calibrated on spatially held-out samples.",
)
@click.option("--stratum", help="Categorical covariate whose classes are calibrated on their own.")
@click.option("--decorrelate", type=float, help="Leave out covariates whose |r| with another is above this (0.85).")
@click.option("--select", is_flag=True, help="Choose covariates by recursive feature elimination.")
@click.option("--tune", type=int, default=0, show_default=True, help="Trials of the forest's parameters.")
@click.option("--licence", help="Licence (SPDX) of the samples; the maps follow it.")
@click.option("--attribution", help="Whom to credit for the samples.")
@click.option(
    "--sites",
    type=click.Choice(["auto", "open", "closed"]),
    default="auto",
    show_default=True,
    help="Whether the store gives the samples' places, values and held-out predictions to others; auto: where the"
    " licence of the samples is known to allow it.",
)
@click.option("--sites-grid", type=float, metavar="METRES", help="Round the places that are given to others.")
@click.option("--folds", type=int, default=10, show_default=True, help="Folds of the cross-validation.")
@click.option("--trees", type=int, default=500, show_default=True, help="Trees of the forest.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@store_option
@json_option
def train(
    samples: Path,
    model: Path,
    sample_format: str,
    target: tuple[str, ...],
    unit: tuple[str, ...],
    property_code: tuple[str, ...],
    depth: str | None,
    depths: str,
    id_column: str | None,
    features: str,
    categorical: str,
    ordered: str,
    texture: str | None,
    sampled: str | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Learn soil properties from SAMPLES (a table), validate, and write the folder MODEL.

    SAMPLES is any table, a GeoPackage or GeoParquet, LUCAS or WoSIS, or what a mapping file says of it. Where its
    columns are known, --property alone says what to learn. Several targets are learnt together by one forest: clay,
    silt and sand as a texture whose means sum to 100 %, carbon and bulk density for their stock. Of several depths each
    gets a model of its own in MODEL, unless --three-d makes one model for all.
    """
    settings = Settings()
    request = TrainRequest(
        samples=samples,
        format=sample_format,
        target=target[0] if len(target) == 1 else target,
        unit=unit[0] if len(target) == 1 and len(unit) == 1 else (unit * len(target) if len(unit) == 1 else unit),
        property_code=(property_code[0] if len(property_code) == 1 else property_code) if property_code else None,
        id=id_column,
        depth=Depth.parse(depth) if depth else None,
        depths=tuple(Depth.parse(each) for each in _names(depths)),
        features=_names(features),
        categorical=_names(categorical),
        ordered=_names(ordered),
        texture=_texture(texture),
        period=_period(sampled) if sampled else None,
        **given,
    )
    jobs = plan_trainings(request, settings)
    target_store = open_store(store, settings)
    folders = [model] if len(jobs) == 1 else [model / str(job.request.depth) for job in jobs]
    made = [_deliver(job, folder, target_store) for job, folder in zip(jobs, folders, strict=True)]
    told = _samples_as_json if as_json else _samples_in_words
    show_deliveries(
        [delivery for delivery, _ in made], as_json=as_json, more=[told(each) | sites for each, sites in made]
    )


def _deliver(job: TrainJob, folder: Path, store: Store | None) -> tuple[Delivery, dict[str, Any]]:
    """The model and, beside it in a store, its validation sites; with what is to be told of these."""
    progress = ConsoleProgress()
    delivery = deliver(job, folder, store, progress)
    sites = deliver_sites(job, folder, store, progress)
    if store is None:
        return delivery, {}
    return delivery, {"validation sites": f"closed: {job.terms.closed}" if sites is None else sites.record.id}


def _texture(text: str | None) -> tuple[str, str, str] | None:
    if not text:
        return None
    names = _names(text)
    if len(names) != 3:
        raise InvalidInput(f"--texture {text!r} does not name three columns", "give those of sand, silt and clay")
    return names[0], names[1], names[2]


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
