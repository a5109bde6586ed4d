"""``cup4soil derive``: maps of derived indicators, such as carbon stock, water capacity or soil loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.indicators import indicator_codes
from cup4soil.settings import Settings
from producers.derive import plan_derivation, requests_for
from producers.jobs import deliver
from service.commands.options import bbox_option, bounds, json_option, open_store, show_deliveries, store_option
from service.console import ConsoleProgress


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--indicator",
    "indicators",
    required=True,
    metavar="CODE,...",
    help=f"What to derive; of several each gets a folder in OUT. There are {', '.join(indicator_codes())}.",
)
@click.option(
    "--covariates",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of rasters, raster, product folder or STAC item; may be repeated.",
)
@click.option("--input", "rasters", multiple=True, metavar="NAME=FILE", help="Raster that enters cell by cell.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=NUMBER", help="Parameter of the formula.")
@bbox_option("Area as west south east north, in degrees unless --bbox-crs is given.")
@click.option("--bbox-crs", default="EPSG:4326", show_default=True, help="CRS of --bbox.")
@click.option("--aoi", type=click.Path(path_type=Path), help="Area as a GeoJSON file with polygons.")
@click.option("--grid", type=click.Path(path_type=Path), help="Raster whose grid the covariates are brought to.")
@click.option("--depth", help="Depth to map, of a model of several.")
@click.option("--title", help="Title of the map.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the deviates of a formula's own error.")
@store_option
@json_option
def derive(
    out: Path,
    indicators: str,
    rasters: tuple[str, ...],
    parameters: tuple[str, ...],
    bbox: Any,
    depth: str | None,
    store: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Map indicators that follow from what MODEL predicts jointly into the folder OUT."""
    settings = Settings()
    codes = _codes(indicators)
    shared = given | {"bbox": bounds(bbox), "depth": Depth.parse(depth) if depth else None}
    files, numbers = _pairs("--input", rasters, Path), _pairs("--parameter", parameters, float)
    requests = requests_for(codes, files, numbers, shared)
    # All are planned before the first is made: what cannot be asked for should be heard at once.
    plans = [plan_derivation(request, settings) for request in requests]
    folders = [out] if len(codes) == 1 else [out / code for code in codes]
    place, progress = open_store(store, settings), ConsoleProgress()
    deliveries = [deliver(plan, folder, place, progress) for plan, folder in zip(plans, folders, strict=True)]
    show_deliveries(deliveries, as_json=as_json)


def _codes(text: str) -> list[str]:
    codes = [part.strip() for part in text.split(",") if part.strip()]
    if not codes or len(set(codes)) != len(codes):
        raise InvalidInput(f"--indicator {text!r}", "name each indicator once, separated by commas")
    return codes


def _pairs[T](option: str, given: tuple[str, ...], read: Callable[[str], T]) -> dict[str, T]:
    """``NAME=VALUE`` texts."""
    found: dict[str, T] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not (name and separator and value) or name in found:
            raise InvalidInput(f"{option} {text!r}", "give NAME=VALUE, each name once")
        try:
            found[name] = read(value)
        except ValueError:
            raise InvalidInput(f"{option} {text!r} has no number", "give NAME=NUMBER") from None
    return found
