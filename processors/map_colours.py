"""Colours of maps: ramps that step evenly in lightness, classes, and which layer has which."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

# The page's own (service/viewer/src/palettes.ts): a layer looks the same there and in a tile. They read in grey and
# with colour blindness, too; "value" has the steps of viridis.
RAMPS: Final[dict[str, tuple[str, ...]]] = {
    "value": ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"),
    "uncertainty": ("#fdd09f", "#fb9f72", "#ee6a63", "#c23c78", "#852880", "#4a1477", "#1c0f45"),
    "dissimilarity": ("#fee3a8", "#fdc766", "#f7a03a", "#e57a1c", "#c4570d", "#943906", "#5f2404"),
    "frequency": ("#ead9b5", "#d9be8e", "#c4a069", "#a87f4b", "#876035", "#644123", "#402613"),
}
CLASSES: Final[dict[str, dict[int, str]]] = {
    "aoa": {0: "#e08a3c", 1: "#3b7f95"},
    "MASK": {0: "#d5d9dd", 1: "#a9683a", 2: "#5d9150", 3: "#7d8b99", 4: "#e6c48d"},
}
OTHERS: Final = ("#3b7f95", "#e08a3c", "#5d9150", "#8b5fa8", "#c4564a", "#7d8b99", "#c9a52f", "#4a4f57")
STEPS: Final = 256
_RAMP_OF = {
    "pi90": "uncertainty",
    "uncertainty": "uncertainty",
    "di": "dissimilarity",
    "BSF": "frequency",
    "BSC": "frequency",
}


def ramp_of(field: str) -> str:
    """The ramp of a layer with continuous values."""
    return _RAMP_OF.get(field, "value")


def class_colour(field: str, value: int, position: int) -> str:
    """Colour of a class; those of layers not known by name go by ``position`` in the list of classes."""
    return CLASSES.get(field, {}).get(value, OTHERS[position % len(OTHERS)])


def rgb(colour: str) -> tuple[int, int, int]:
    """``#3b7f95`` as numbers from 0 to 255."""
    number = int(colour[1:], 16)
    return (number >> 16, number >> 8 & 255, number & 255)


@lru_cache(maxsize=16)
def lookup(ramp: str) -> NDArray[np.uint8]:
    """A ramp from its low to its high end in ``STEPS`` colours, shape (steps, 3)."""
    stops = np.array([rgb(colour) for colour in RAMPS[ramp]], dtype=np.float64)
    places = np.linspace(0, len(stops) - 1, STEPS)
    colours = np.stack([np.interp(places, np.arange(len(stops)), channel) for channel in stops.T], axis=-1)
    table = np.rint(colours).astype(np.uint8)
    table.flags.writeable = False
    return table
