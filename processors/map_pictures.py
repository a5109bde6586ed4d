"""Pictures of values: colours, the veil over cells where a model does not apply, PNG and WebP."""

from functools import lru_cache
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processors.map_colours import STEPS, class_colour, lookup, rgb
from processors.map_ranges import Range
from processors.map_styles import Style

PNG: Final = "image/png"
WEBP: Final = "image/webp"
type Picture = NDArray[np.uint8]
type Colour = tuple[int, int, int]

_GREY = np.array([128.0, 128.0, 128.0])
_GREY_SHARE = 0.55
_STRIPE = np.array([70, 70, 70], dtype=np.uint8)
# Pixels; tiles of 256 fit a whole number of times, so that stripes go on across their edges.
_PERIOD, _WIDTH = 8, 2


def paint(style: Style, values: NDArray[np.float32], ends: Range) -> Picture:
    """RGBA of ``values``, shape (fields and veil, rows, columns), NaN transparent; ``ends`` bound the colours."""
    layers = len(style.fields)
    colours = _coloured(style, values[:layers], ends)
    if style.veil is not None:
        _veil(colours, values[layers] == 0)
    valid = np.isfinite(values[:layers]).all(axis=0)
    return np.dstack([colours, np.where(valid, 255, 0).astype(np.uint8)])


def encode(picture: Picture, kind: str) -> bytes:
    """A picture in RGBA as ``image/png`` or lossless ``image/webp``."""
    stream = BytesIO()
    image = Image.fromarray(picture)
    if kind == WEBP:
        image.save(stream, format="WEBP", lossless=True, method=0, quality=20)
    else:
        image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


@lru_cache(maxsize=64)
def blank(rows: int, cols: int, kind: str) -> bytes:
    """A transparent picture, as small as can be."""
    if kind == WEBP:
        return encode(np.zeros((rows, cols, 4), dtype=np.uint8), kind)
    stream = BytesIO()
    Image.new("L", (cols, rows)).save(stream, format="PNG", transparency=0, optimize=True)
    return stream.getvalue()


def on_background(picture: Picture, colour: Colour) -> Picture:
    """The picture with ``colour`` where it is transparent."""
    opaque = picture.copy()
    opaque[picture[..., 3] == 0] = (*colour, 255)
    return opaque


def scaled_to_steps(values: NDArray[np.float32], ends: Range) -> NDArray[np.uint8]:
    """Values as steps from 0 to 255 between the ends; what lies beyond has the colour of the end."""
    low, high = ends
    share = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)
    steps: NDArray[np.uint8] = np.rint(share * (STEPS - 1)).astype(np.uint8)
    return steps


def _coloured(style: Style, values: NDArray[np.float32], ends: Range) -> Picture:
    if style.kind == "classes":
        return _classes(style, values[0])
    if style.kind == "picture":
        return np.stack([scaled_to_steps(band, ends) for band in values], axis=-1)
    colours: Picture = lookup(style.ramp)[scaled_to_steps(values[0], ends)]
    return colours


def _classes(style: Style, values: NDArray[np.float32]) -> Picture:
    field = style.fields[0]
    table = np.zeros((256, 3), dtype=np.uint8)
    for position, (value, _) in enumerate(field.categories):
        table[value & 255] = rgb(class_colour(field.name, value, position))
    colours: Picture = table[np.nan_to_num(values).astype(np.int64) & 255]
    return colours


def _veil(colours: Picture, outside: NDArray[np.bool_]) -> None:
    """Grey and hatch the cells outside the area of applicability, in place."""
    grey = colours[outside] * (1 - _GREY_SHARE) + _GREY * _GREY_SHARE
    colours[outside] = np.rint(grey).astype(np.uint8)
    rows, cols = outside.shape
    stripes = np.add.outer(np.arange(rows), np.arange(cols)) % _PERIOD < _WIDTH
    colours[outside & stripes] = _STRIPE
