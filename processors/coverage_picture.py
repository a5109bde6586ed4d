"""Coverages as PNG: one field in its own colours, transparent where there is no value."""

from dataclasses import replace
from io import BytesIO
from typing import Final
from urllib.parse import quote

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cup4soil.errors import InvalidInput
from processors.coverage_formats import origin
from processors.coverage_query import CoverageQuery
from processors.coverage_reader import Answer, CoverageReader, asked_fields
from processors.map_pictures import paint
from processors.map_ranges import Range, Ranges
from processors.map_styles import Style, style_of

PNG: Final = "image/png"
MOST_PIXELS: Final = 4_000_000


class Pictures:
    """Draws parts of coverages, with the same colours for a field whatever part is asked for."""

    def __init__(self, reader: CoverageReader) -> None:
        self._reader = reader
        self._ranges = Ranges(reader.catalog, reader.handles)

    def draw(self, collection: str, query: CoverageQuery) -> tuple[Answer, bytes, str]:
        """The values drawn, the PNG, and the style's id. The field is that of ``properties``, else the default one.

        Raises:
            InvalidInput: when several fields are named.
            NotFound, NoData, LimitExceeded, StoreError: as :meth:`CoverageReader.read`.
        """
        style = self._style(collection, query)
        names = tuple(field.name for field in style.needs)
        limit = min(MOST_PIXELS * len(names), self._reader.limits.values)
        answer = self._reader.read(collection, replace(query, properties=names, excluded=()), limit=limit)
        ends = self._ranges.of(collection, style)
        return answer, _png(answer, style, ends), style.id

    def _style(self, collection: str, query: CoverageQuery) -> Style:
        coverage = self._reader.catalog.coverage(collection, query.when)
        if not (query.properties or query.excluded):
            return style_of(coverage, None)
        fields = asked_fields(coverage, query)
        if len(fields) > 1:
            raise InvalidInput(f"a PNG shows one field, not {len(fields)}", "name one in properties")
        return style_of(coverage, fields[0].name)


def legend_link(style: str) -> str:
    """A Link header to the legend; the address is relative to that of the coverage."""
    return f'<styles/{quote(style)}/legend?f=png>; rel="legend"; type="image/png"'


def _png(answer: Answer, style: Style, ends: Range) -> bytes:
    """The picture, with texts that say what its colours mean and where it comes from."""
    info = PngInfo()
    field = style.fields[0]
    legend = {"Title": answer.coverage.title, "Field": ", ".join(each.name for each in style.fields)}
    if style.kind != "classes":
        unit = "" if field.unit == "1" else f" {field.unit}"
        legend["Legend"] = f"{ends[0]:g} to {ends[1]:g}{unit}, colours {style.ramp if style.kind == 'ramp' else 'RGB'}"
    else:
        legend["Legend"] = ", ".join(f"{value}: {title}" for value, title in field.categories)
    for name, text in (legend | {k: v for k, v in origin(answer).items() if not k.startswith("TIFF")}).items():
        info.add_itxt(name, text)
    stream = BytesIO()
    Image.fromarray(paint(style, _scaled(answer), ends)).save(stream, format="PNG", compress_level=3, pnginfo=info)
    return stream.getvalue()


def _scaled(answer: Answer) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Scaled values, shape (fields, rows, columns), NaN where there is none."""
    scale = np.array([field.scale for field in answer.fields], dtype=np.float32)[:, np.newaxis, np.newaxis]
    offset = np.array([field.offset for field in answer.fields], dtype=np.float32)[:, np.newaxis, np.newaxis]
    values = answer.values.astype(np.float32) * scale + offset
    values[answer.values == answer.nodata] = np.nan
    return values
