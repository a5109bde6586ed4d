"""Maps of a composite's report: small pictures with their legends, from the overviews of the finished files."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cup4soil.methods.composite import MASK_CATEGORIES
from cup4soil.rasters.overview import Overview, read_overview
from producers.composite_layers import LAYERS

MAP_CELLS = 480
# Narrower maps are shown with the edges of their cells.
COARSE_CELLS = 200
# Okabe and Ito (2008): told apart by readers of all kinds of colour vision.
MASK_COLOURS = {0: "#999999", 1: "#d55e00", 2: "#009e73", 3: "#0072b2", 4: "#f0e442"}
MISSING_COLOUR = "#dedad4"
_RAMP_STEPS = 64
_LEGEND_STOPS = 9
_STRETCH_PERCENT = (2.0, 98.0)
_JPEG_QUALITY = 85

type _Grid = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MapPicture:
    """A map for the page: ``source`` is a data URI; the legend is a ramp from ``low`` to ``high`` or ``classes``."""

    title: str
    note: str
    source: str
    width: int
    height: int
    missing: str
    unit: str = ""
    ramp: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    classes: tuple[tuple[str, str], ...] = ()

    @property
    def missing_colour(self) -> str:
        """Colour of cells without a value."""
        return MISSING_COLOUR

    @property
    def coarse(self) -> bool:
        """True when single cells can be seen."""
        return self.width < COARSE_CELLS

    @property
    def gradient(self) -> str:
        """The ramp of the legend as a CSS gradient."""
        return f"linear-gradient(to right, {', '.join(self.ramp)})"


@dataclass(frozen=True, slots=True)
class _Ramp:
    """How one band is shown; its legend has ``decimals``."""

    layer: str
    band: str
    title: str
    note: str
    colours: str
    unit: str
    missing: str
    decimals: int
    from_zero: bool = True


_RAMPS = (
    _Ramp(
        "SFREQ", "BSF", "Bare-soil frequency (BSF)", "How often a cell was bare when it was seen.", "cividis",
        "share of the valid observations", "not observed, or outside", 2,
    ),
    _Ramp(
        "SFREQ", "BSC", "Bare observations (BSC)", "How many bare observations were kept.", "cividis",
        "observations", "not observed, or outside", 0,
    ),
    _Ramp(
        "SFREQ", "VPC", "Valid observations (VPC)",
        "How often a cell was seen without cloud. Stripes are edges of orbits.", "viridis",
        "observations", "not observed, or outside", 0, from_zero=False,
    ),
    _Ramp(
        "SRC-CI95", "SRC-CI95_B04", "Confidence half-width of red (SRC-CI95, B04)",
        "How far the mean may be from the truth: 95 % confidence.", "magma", "reflectance", "not composited", 3,
    ),
)  # fmt: skip


def maps(folder: Path, layers: frozenset[str]) -> list[MapPicture]:
    """Maps of the finished files in ``folder`` as far as ``layers`` are there, read through their overviews.

    Raises:
        NotFound: when a file is missing.
        InvalidRaster: when one cannot be read.
    """
    shown = {"SRC", "SFREQ", "SRC-CI95"} & layers
    views = {name: read_overview(folder / LAYERS[name].file, MAP_CELLS) for name in sorted(shown)}
    classes = read_overview(folder / LAYERS["MASK"].file, MAP_CELLS, categorical=True)
    pictures = [_true_colour(views["SRC"])] if "SRC" in views else []
    pictures.append(_mask(classes.values[0]))
    return pictures + [_ramp(each, views[each.layer].band(each.band)) for each in _RAMPS if each.layer in views]


def _true_colour(view: Overview) -> MapPicture:
    rgb = np.stack([view.band(f"SRC_{band}") for band in ("B04", "B03", "B02")], axis=-1)
    seen = np.isfinite(rgb).all(axis=-1)
    # From zero and all bands alike: only then do hues stay what they are.
    high = max(float(np.percentile(rgb[seen], _STRETCH_PERCENT[1])) if seen.any() else 0.0, 1e-4)
    painted = np.rint(np.clip(np.nan_to_num(rgb) / high, 0, 1) * 255).astype(np.uint8)
    painted[~seen] = _rgb(MISSING_COLOUR)
    source = _photograph(painted)
    note = f"Bare soil as the eye would see it (B04, B03, B02), brightened: white is a reflectance of {high:.2f}."
    return MapPicture("Bare-soil reflectance, true colour (SRC)", note, source, *_size(seen), "not composited")


def _photograph(painted: NDArray[np.uint8]) -> str:
    """The picture as JPEG; a coarse one as PNG, whose cells keep their edges."""
    target, kind = io.BytesIO(), "png" if painted.shape[1] < COARSE_CELLS else "jpeg"
    options = {} if kind == "png" else {"quality": _JPEG_QUALITY, "subsampling": 0}
    Image.fromarray(painted).save(target, format=kind, **options)
    return _uri(kind, target)


def _mask(classes: _Grid) -> MapPicture:
    codes = np.where(np.isfinite(classes), classes, len(MASK_CATEGORIES)).astype(np.uint8)
    colours = [*(MASK_COLOURS[code] for code in MASK_CATEGORIES), MISSING_COLOUR]
    legend = tuple((MASK_COLOURS[code], f"{code} {text}") for code, text in MASK_CATEGORIES.items())
    source = _palette_png(codes, colours)
    note = "What was seen of the surface over the whole window."
    return MapPicture("Surface mask (MASK)", note, source, *_size(classes), "outside the area", classes=legend)


def _ramp(wanted: _Ramp, values: _Grid) -> MapPicture:
    low, high = _range(values, from_zero=wanted.from_zero, step=10.0**-wanted.decimals)
    colours = [mpl.colors.to_hex(colour) for colour in mpl.colormaps[wanted.colours](np.linspace(0, 1, _RAMP_STEPS))]
    scaled = np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1) * (_RAMP_STEPS - 1)
    codes = np.where(np.isfinite(values), np.rint(scaled), _RAMP_STEPS).astype(np.uint8)
    at_most = "≥ " if np.nanmax(np.where(np.isfinite(values), values, -np.inf)) > high else ""
    at_least = "≤ " if np.nanmin(np.where(np.isfinite(values), values, np.inf)) < low else ""
    stops = tuple(colours[place] for place in np.linspace(0, _RAMP_STEPS - 1, _LEGEND_STOPS).astype(int))
    return MapPicture(
        wanted.title, wanted.note, _palette_png(codes, [*colours, MISSING_COLOUR]), *_size(values), wanted.missing,
        wanted.unit, stops, f"{at_least}{low:.{wanted.decimals}f}", f"{at_most}{high:.{wanted.decimals}f}",
    )  # fmt: skip


def _range(values: _Grid, *, from_zero: bool, step: float) -> tuple[float, float]:
    """Ends of the legend: percentiles rounded outwards to ``step``, never the same."""
    seen = values[np.isfinite(values)]
    low, high = np.percentile(seen, _STRETCH_PERCENT) if seen.size else (0.0, 0.0)
    start = 0.0 if from_zero else float(np.floor(low / step)) * step
    return start, max(float(np.ceil(high / step)) * step, start + step)


def _palette_png(codes: NDArray[np.uint8], colours: Sequence[str]) -> str:
    image = Image.fromarray(codes).convert("P")
    image.putpalette([part for colour in colours for part in _rgb(colour)])
    target = io.BytesIO()
    image.save(target, format="PNG", optimize=True)
    return _uri("png", target)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in mpl.colors.to_rgb(colour))
    return red, green, blue


def _uri(kind: str, image: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image.getvalue()).decode()}"


def _size(grid: NDArray[np.generic]) -> tuple[int, int]:
    """Width and height."""
    return grid.shape[1], grid.shape[0]
