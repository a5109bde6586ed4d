"""Options that say where samples come from and how they are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cup4soil.methods.spline import SMOOTHING
from producers.sample_sources import FORMATS

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_SOURCE: tuple[Decorator, ...] = (
    click.option(
        "--format",
        "sample_format",
        type=click.Choice(FORMATS),
        default="auto",
        show_default=True,
        help="What the samples are.",
    ),
    click.option(
        "--mapping", type=click.Path(path_type=Path), help="YAML or JSON file that says what stands in which column."
    ),
    click.option(
        "--join",
        "joins",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Further table of the same points or layers (texture, bulk density, places); may be repeated.",
    ),
    click.option("--layer", help="Layer of a GeoPackage."),
)
_READING: tuple[Decorator, ...] = (
    click.option(
        "--harmonise",
        type=click.Choice(["weighted", "spline"]),
        default="weighted",
        show_default=True,
        help="How horizons become one value: mean by thickness, or equal-area spline.",
    ),
    click.option("--smoothing", type=float, default=SMOOTHING, show_default=True, help="Smoothing of the spline."),
    click.option(
        "--below-detection",
        type=click.Choice(["exclude", "half"]),
        help="What becomes of values below the limit of detection; half puts half the limit in their place.",
    ),
)


def sample_source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--format --mapping --join --layer``: what :func:`producers.sample_sources.sample_source` takes."""
    return _with(command, _SOURCE)


def sample_reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--harmonise --smoothing --below-detection``: fields of :class:`producers.sample_spec.SampleSpec`."""
    return _with(command, _READING)


def _with(command: Callable[..., Any], options: tuple[Decorator, ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command
