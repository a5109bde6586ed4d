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
from service.running import check_port
from service.running import serve as run_service
from service.settings import ServiceSettings

_HOST = "127.0.0.1"


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
@click.option("--no-serve", is_flag=True, help="End when the result is there instead of serving it.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to serve on.")
@json_option
def demo(store: Path, size: int, no_serve: bool, port: int, as_json: bool) -> None:
    """Run the whole chain on embedded data.

    A Sentinel-2 archive over a simulated landscape becomes a bare-soil composite; real soil samples (BB.250 of
    LimeSoDa, CC BY-SA 4.0) become a model; both become a map of soil organic carbon with its uncertainty. All is
    registered in STORE. As the landscape is simulated, the truth is known, and the result is compared with it. At last
    the store is served on http://127.0.0.1:8000.
    """
    if not no_serve:
        check_port(_HOST, port)
    started = time.monotonic()
    result = run_demo(store, Settings(), ConsoleProgress(), size=size)
    seconds = time.monotonic() - started
    if as_json:
        show(_facts(result, seconds), as_json=True)
    else:
        _tell(result, seconds)
    if not no_serve:
        _serve(store, port)


def _serve(store: Path, port: int) -> None:
    address = f"http://{_HOST}:{port}"
    click.echo(f"\nServing it; Ctrl-C ends. Open\n  page               {address}/")
    for what, path in (("OGC APIs", "/ogc"), ("STAC API", "/stac"), ("static STAC", "/catalog/catalog.json")):
        click.echo(f"  {what:<18} {address}{path}")
    run_service(store, _HOST, port, ServiceSettings(trust_proxy=False), workers=1, worker=True)


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
