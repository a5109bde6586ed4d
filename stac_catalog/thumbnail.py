"""Previews: a small PNG of what a product shows."""

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cup4soil.errors import InvalidInput
from cup4soil.products import Document, Layer, ProductRecord
from cup4soil.rasters.overview import read_overview

SIZE = 512
OVERVIEW_ROLE = "overview"
_TRUE_COLOUR = ("red", "green", "blue")
_STRETCH_PERCENT = (2.0, 98.0)
# Equal steps of value look like equal steps of colour, also to readers who see fewer colours.
_COLOUR_MAP = "viridis"
_SHOWN = {"index": "INDEX", "thresholds": "THRESHOLDS"}

type Picture = NDArray[np.uint8]


def thumbnail(record: ProductRecord, folder: Path) -> bytes | None:
    """PNG preview of the product whose files lie in ``folder``; None when it has nothing to show.

    A picture that the product brings itself (a document of the role ``overview``) goes first; else
    composites are shown in true colour, soil maps by their mean, and the index and its thresholds by their first
    band, missing cells transparent.

    Raises:
        InvalidInput: when the product's own picture is none, or a layer cannot be read.
    """
    own = next((each for each in record.documents if OVERVIEW_ROLE in each.roles), None)
    if own is not None:
        return _png(_open(own, folder))
    picture = _of_layers(record, folder)
    return None if picture is None else _png(Image.fromarray(picture))


def _of_layers(record: ProductRecord, folder: Path) -> Picture | None:
    layers = {layer.name: layer for layer in record.layers}
    if record.kind == "composite":
        pictures = (_true_colour(layers[name], folder) for name in ("SRC", "MREF") if name in layers)
        return next((picture for picture in pictures if picture is not None), None)
    shown = layers.get(_SHOWN.get(record.kind, "mean"))
    return None if shown is None else _single_band(shown, folder)


def _true_colour(layer: Layer, folder: Path) -> Picture | None:
    """RGBA of a layer's red, green and blue; None when it has none of them or no valid cell."""
    names = [band.common_name for band in layer.bands]
    if not set(_TRUE_COLOUR) <= set(names):
        return None
    values = read_overview(folder / layer.file, SIZE).values
    return _painted(np.stack([values[names.index(name)] for name in _TRUE_COLOUR], axis=-1))


def _single_band(layer: Layer, folder: Path) -> Picture | None:
    """RGBA of a layer's first band in the colour map; None without a valid cell."""
    values = read_overview(folder / layer.file, SIZE).values[0]
    stretched = _stretched(values)
    if stretched is None:
        return None
    colours: Picture = mpl.colormaps[_COLOUR_MAP](np.nan_to_num(stretched), bytes=True)
    colours[..., 3] = np.where(np.isnan(values), 0, 255)
    return colours


def _painted(rgb: NDArray[np.float32]) -> Picture | None:
    # From zero, and all bands alike: only then do hues stay what they are.
    stretched = _stretched(rgb, from_zero=True)
    if stretched is None:
        return None
    valid = np.isfinite(rgb).all(axis=-1)
    colours = np.rint(np.nan_to_num(stretched) * 255).astype(np.uint8)
    return np.dstack([colours, np.where(valid, 255, 0).astype(np.uint8)])


def _stretched(values: NDArray[np.float32], *, from_zero: bool = False) -> NDArray[np.float32] | None:
    """Values between the percentiles, or from zero, brought to 0..1, all bands alike; None without any."""
    valid = values[np.isfinite(values)]
    if valid.size == 0:
        return None
    low, high = np.percentile(valid, _STRETCH_PERCENT)
    low = 0.0 if from_zero else low
    span = np.float32(high - low if high > low else 1.0)
    scaled: NDArray[np.float32] = np.clip((values - np.float32(low)) / span, 0, 1)
    return scaled


def _png(image: Image.Image) -> bytes:
    stream = BytesIO()
    _fitted(image).save(stream, format="PNG")
    return stream.getvalue()


def _fitted(image: Image.Image) -> Image.Image:
    """The image with its longer side at most ``SIZE``; a small one is enlarged by a whole factor."""
    longest = max(image.size)
    if longest > SIZE:
        image = image.copy()
        image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
        return image
    factor = SIZE // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _open(document: Document, folder: Path) -> Image.Image:
    path = folder / document.file
    content = path.read_bytes()
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            return image.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"{path} is no PNG picture", f"give one for the role {OVERVIEW_ROLE}") from error
