"""``cup4soil demo``: the whole chain on embedded data."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cup4soil.settings import Settings
from service.commands.options import json_option
from service.console import ConsoleProgress, show
from service.demo import Demo, run_demo


@click.command()
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("store"),
    show_default=True,
    help="Store to fill.",
)
@click.option(
    "--size",
    type=click.IntRange(60, 2000),
    default=500,
    show_default=True,
    help="Edge of the landscape in cells of 20 m.",
)
@json_option
def demo(store: Path, size: int, as_json: bool) -> None:
    """Run the whole chain on embedded data.

    A Sentinel-2 archive over a simulated landscape becomes a bare-soil composite; real soil samples (BB.250 of
    LimeSoDa, CC BY-SA 4.0) become a model; both become a map of soil organic carbon with its uncertainty. All is
    registered in STORE. As the landscape is simulated, the truth is known, and the result is compared with it.
    """
    started = time.monotonic()
    result = run_demo(store, Settings(), ConsoleProgress(), size=size)
    seconds = time.monotonic() - started
    if as_json:
        show(_facts(result, seconds), as_json=True)
    else:
        _tell(result, seconds)


def _facts(result: Demo, seconds: float) -> dict[str, Any]:
    products = {delivery.record.collection: delivery.record.id for delivery in result.deliveries}
    return {"products": products, "score": asdict(result.score), "seconds": round(seconds, 1)}


def _tell(result: Demo, seconds: float) -> None:
    for delivery in result.deliveries:
        made = "made" if delivery.made else "found"
        click.echo(f"{delivery.record.title}\n  {made}: {delivery.item}")
    click.echo("\nAgainst the simulated truth:")
    for line in result.score.lines():
        click.echo(f"  {line}")
    click.echo(f"\nDone in {seconds:.0f} s. To look at:")
    for what, path in (
        ("catalog (STAC)", result.catalog),
        ("validation report", result.model.folder / "report.html"),
        ("map", result.soil_map.folder / "mean.tif"),
    ):
        click.echo(f"  {what:<18} {path}")
