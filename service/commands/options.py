"""Options and steps that several commands share."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from cup4soil.grids import Bounds
from cup4soil.products import Measure
from cup4soil.settings import Settings
from producers.jobs import Delivery, Job, deliver
from service.console import ConsoleProgress, show
from stac_catalog.store import Store

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

store_option: Decorator = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Store in which the product is registered (or CUP4SOIL_STORE).",
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def bbox_option(help_text: str) -> Decorator:
    """``--bbox WEST SOUTH EAST NORTH``."""
    return click.option("--bbox", nargs=4, type=float, metavar="W S E N", help=help_text)


def bounds(bbox: tuple[float, float, float, float] | None) -> Bounds | None:
    """The four numbers of ``--bbox``, checked."""
    return None if bbox is None else Bounds(*bbox)


def open_store(folder: Path | None, settings: Settings) -> Store | None:
    """The store named on the command line or in the settings, made where there is none."""
    root = folder or settings.store
    return None if root is None else Store.open(root, settings)


def deliver_and_show(job: Job, out: Path, store: Path | None, settings: Settings, *, as_json: bool) -> None:
    """Make the product unless it is there already, and tell where it is."""
    show_deliveries([deliver(job, out, open_store(store, settings), ConsoleProgress())], as_json=as_json)


def show_deliveries(
    deliveries: Sequence[Delivery], *, as_json: bool, more: Sequence[dict[str, Any]] | None = None
) -> None:
    """Tell where products are: one as it is alone; of several a program gets a list, a reader one after the other.

    ``more`` is what else there is to tell of each.
    """
    extras = more or [{}] * len(deliveries)
    told = [_facts(delivery, extra, as_json=as_json) for delivery, extra in zip(deliveries, extras, strict=True)]
    if as_json and len(told) > 1:
        click.echo(json.dumps(told, indent=1, default=str))
        return
    for facts in told:
        show(facts, as_json=as_json)
        if len(told) > 1:
            click.echo()


def _facts(delivery: Delivery, more: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    record = delivery.record
    facts: dict[str, Any] = {
        "product": record.id,
        "title": record.title,
        "folder": delivery.folder,
        "item": delivery.item,
        "made": "now" if delivery.made else "found, nothing was written",
        "licence": record.licence,
        **more,
    }
    if as_json:
        return facts | {"quality": [measure.model_dump() for measure in record.quality]}
    return facts | _quality_lines(record.quality)


def _quality_lines(measures: tuple[Measure, ...]) -> dict[str, str]:
    """The figures measured on the same thing in one line, named by what they were measured on."""
    lines: dict[str, list[str]] = {}
    for measure in measures:
        name, _, scale = measure.name.partition(" (")
        unit = "" if measure.unit == "1" else f" {measure.unit}"
        support = f"{measure.support} ({scale}" if scale else measure.support
        lines.setdefault(support, []).append(f"{name} {measure.value:.4g}{unit}")
    return {support: "; ".join(figures) for support, figures in lines.items()}
