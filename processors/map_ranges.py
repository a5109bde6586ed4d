"""The range of values that a style's colours span: the same for all periods and tiles of a collection."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import reading_product
from cup4soil.grids import Window
from cup4soil.rasters.coverage import Handles
from cup4soil.rasters.reduced import read_reduced
from processors.coverage_catalog import CoverageCatalog
from processors.coverages import Item
from processors.map_styles import COMMON_SCALE, Style

type Range = tuple[float, float]

_SHARES = (0.02, 0.98)
_SCALE_ENDS = COMMON_SCALE[:2]
# A sample of a collection is enough for its colours: this many items, this many cells along the longer side of each.
_ITEMS = 16
_CELLS = 256
_KEPT = 512
_DIGITS = 3


class Ranges:
    """Finds ranges and keeps them while the collection's items stay the same. Many threads may use one."""

    def __init__(self, catalog: CoverageCatalog, handles: Handles) -> None:
        self._catalog = catalog
        self._handles = handles
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, tuple[str, ...], tuple[str, ...], bool], Range] = OrderedDict()

    def of(self, collection: str, style: Style) -> Range:
        """Low and high end of the colours: the middle 96 % of a sample of all values, to three digits.

        Quantiles and mean share one range; pictures begin at zero, so that hues stay what they are. A layer
        without a value anywhere has 0 to 1.

        Raises:
            StoreError: when a file of the store cannot be read.
        """
        items = [item for group in self._catalog.periods(collection) for item in group]
        names = tuple(field.name for field in style.fields)
        if names[0] in COMMON_SCALE and any(name in item.places for item in items for name in _SCALE_ENDS):
            names = _SCALE_ENDS
        key = (collection, tuple(item.id for item in items), names, style.kind == "picture")
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = self._find(_sample(items), names, picture=style.kind == "picture")
        with self._lock:
            self._known[key] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    def _find(self, items: Sequence[Item], names: Sequence[str], *, picture: bool) -> Range:
        lows, highs = [], []
        for name in names:
            parts = [self._values(item, name) for item in items if name in item.places]
            values = np.concatenate(parts) if parts else np.empty(0)
            if values.size:
                low, high = np.quantile(values, _SHARES)
                lows.append(float(low))
                highs.append(float(high))
        if not lows:
            return 0.0, 1.0
        return _rounded(0.0 if picture else min(lows), max(highs))

    def _values(self, item: Item, name: str) -> NDArray[np.float64]:
        place = item.places[name]
        rows, cols = item.grid.shape
        step = 2 ** max(0, math.ceil(math.log2(max(rows, cols) / _CELLS)))
        shape = (math.ceil(rows / step), math.ceil(cols / step))
        whole = Window(0, 0, rows, cols)
        with reading_product(item.name):
            stored = read_reduced(self._handles, place.path, item.grid, [place.band], whole, shape, categorical=False)[
                0
            ]
        valid: NDArray[np.float64] = stored[stored != place.field.nodata].astype(np.float64)
        return valid * place.field.scale + place.field.offset


def _sample(items: Sequence[Item]) -> list[Item]:
    """At most so many items, spread evenly."""
    if len(items) <= _ITEMS:
        return list(items)
    return [items[position * len(items) // _ITEMS] for position in range(_ITEMS)]


def _rounded(low: float, high: float) -> Range:
    """A range of some width whose ends have few digits, for people to read."""
    span = high - low
    if span <= 0:
        return low, low + (abs(low) or 1.0)
    digits = _DIGITS - 1 - math.floor(math.log10(span))
    return round(low, digits), round(high, digits)
