"""Layers of a class map: the most probable class, its probability, and that of every class."""

import numpy as np
from numpy.typing import NDArray

from cup4soil.indicator_types import Classes, Floats
from cup4soil.products import Band, Layer

CLASS_NODATA = 255


def class_layers(title: str, classes: Classes) -> dict[str, Layer]:
    """The layers of ``classes``, by name; probabilities in %."""
    shown = dict(enumerate(classes.titles))
    return {
        "class": Layer(
            name="class",
            title=f"{title}, most probable class",
            description="The class with the largest probability; of equal ones the first.",
            file="class.tif",
            bands=(Band(name="class", description=f"{title}, most probable class"),),
            dtype="uint8",
            nodata=CLASS_NODATA,
            categories=shown,
        ),
        "class-probability": Layer(
            name="class-probability",
            title=f"{title}, probability of the class mapped",
            description="Probability of the most probable class.",
            file="class-probability.tif",
            bands=(Band(name="class-probability", description="Probability of the class mapped", unit="%"),),
            dtype="uint8",
            nodata=CLASS_NODATA,
            roles=("data", "quality"),
        ),
        "probability": Layer(
            name="probability",
            title=f"{title}, probability of each class",
            description="Weight of the training samples of each class in the prediction; they sum to 100 % but for"
            " rounding.",
            file="probability.tif",
            bands=tuple(
                Band(name=_band(key), description=f"Probability of {name}", unit="%")
                for key, name in zip(classes.keys, classes.titles, strict=True)
            ),
            dtype="uint8",
            nodata=CLASS_NODATA,
            roles=("data", "quality"),
        ),
    }


def class_integers(classes: Classes, shares: Floats, known: NDArray[np.bool_]) -> dict[str, NDArray[np.integer]]:
    """Stored integers by band name, in the shape of ``known``, from ``shares`` (k, m) at its m true cells, 0..1."""
    percent = np.rint(100.0 * np.clip(shares, 0.0, 1.0)).astype(np.uint8)
    found = {"class": shares.argmax(axis=0).astype(np.uint8), "class-probability": percent.max(axis=0, initial=0)}
    found |= {_band(key): row for key, row in zip(classes.keys, percent, strict=True)}
    return {name: _spread(values, known) for name, values in found.items()}


def _spread(values: NDArray[np.integer], known: NDArray[np.bool_]) -> NDArray[np.integer]:
    stored = np.full(known.shape, CLASS_NODATA, np.uint8)
    stored[known] = values
    return stored


def _band(key: str) -> str:
    """So that no class is called as a layer of every map is."""
    return f"p-{key}"
