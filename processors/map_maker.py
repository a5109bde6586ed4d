"""From a request for a picture of a collection to its bytes: checked first, read last."""

import hashlib
from dataclasses import dataclass

from odc.geo.geobox import GeoBox

from cup4soil import __version__
from cup4soil.errors import InvalidInput, LimitExceeded
from cup4soil.grids import crs_code, crs_of
from cup4soil.rasters.coverage import Handles
from processors.coverage_catalog import CoverageCatalog
from processors.coverages import Coverage, Interval
from processors.map_pictures import Colour, encode, on_background, paint
from processors.map_ranges import Range, Ranges
from processors.map_reader import Part, parts_of, read_values
from processors.map_styles import Style, style_of
from stac_catalog.store import Store


@dataclass(frozen=True)
class MapLimits:
    """Most pixels of one picture, and most items that may lie under it."""

    pixels: int = 4_194_304
    items: int = 200


@dataclass(frozen=True, slots=True)
class Look:
    """What a client says of a picture's looks: style, time, ends of the colours, each None where it says nothing."""

    style: str | None = None
    when: Interval | None = None
    ends: Range | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A checked request: what is drawn of which items, on which grid. ``tag`` changes whenever the picture may."""

    coverage: Coverage
    style: Style
    ends: Range
    grid: GeoBox
    parts: tuple[Part, ...]
    tag: str


class MapMaker:
    """Draws the coverages of a store. Many threads may use one."""

    def __init__(self, store: Store, limits: MapLimits | None = None) -> None:
        self.catalog = CoverageCatalog(store)
        self.limits = limits or MapLimits()
        self._handles = Handles()
        self._ranges = Ranges(self.catalog, self._handles)

    def styled(self, collection: str, look: Look) -> tuple[Coverage, Style, Range]:
        """A collection's latest period at the time asked for, the style, and the ends of its colours.

        Raises:
            NotFound: when there is no such collection or style.
            NoData: when the collection has nothing at that time.
            InvalidInput: when ends are given for a style without them.
        """
        coverage = self.catalog.coverage(collection, look.when)
        style = style_of(coverage, look.style)
        return coverage, style, self._ends(collection, style, look.ends)

    def prepare(self, collection: str, look: Look, grid: GeoBox) -> Sheet:
        """Check a request for a picture on ``grid``.

        Raises:
            LimitExceeded: when the picture is too large, or too many items lie under it; else as :meth:`styled`.
        """
        rows, cols = grid.shape
        if rows * cols > self.limits.pixels:
            raise LimitExceeded(
                f"{cols} x {rows} pixels are more than the limit of {self.limits.pixels}", "ask for a smaller picture"
            )
        coverage = self.catalog.coverage(collection, look.when)
        style = style_of(coverage, look.style)
        parts = parts_of(coverage, grid)
        if len(parts) > self.limits.items:
            raise LimitExceeded(
                f"{len(parts)} items lie under this picture, more than the limit of {self.limits.items}", "zoom in"
            )
        ends = self._ends(collection, style, look.ends)
        return Sheet(coverage, style, ends, grid, parts, _tag(collection, style, ends, grid, parts))

    def draw(self, sheet: Sheet, kind: str, background: Colour | None = None) -> bytes | None:
        """The picture as PNG or WebP; None where there is nothing to see.

        Raises:
            StoreError: when a file of the store cannot be read.
        """
        values = read_values(self._handles, sheet.parts, sheet.style.needs, sheet.grid) if sheet.parts else None
        if values is None:
            return None
        picture = paint(sheet.style, values, sheet.ends)
        if not picture[..., 3].any():
            return None
        return encode(picture if background is None else on_background(picture, background), kind)

    def close(self) -> None:
        """Close the files that are kept open."""
        self._handles.close()

    def _ends(self, collection: str, style: Style, wanted: Range | None) -> Range:
        if style.kind == "classes":
            if wanted is not None:
                raise InvalidInput(f"style {style.id} has classes, not a range", "leave range out")
            return 0.0, 1.0
        return self._ranges.of(collection, style) if wanted is None else wanted


def _tag(collection: str, style: Style, ends: Range, grid: GeoBox, parts: tuple[Part, ...]) -> str:
    place = (tuple(grid.affine)[:6], tuple(grid.shape), crs_code(crs_of(grid)))
    state = (__version__, collection, style.id, ends, place, [part.item.id for part in parts])
    return hashlib.sha256(repr(state).encode()).hexdigest()[:32]
