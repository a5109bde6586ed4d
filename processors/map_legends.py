"""Legends: what the colours of a style mean, for programs and for people."""

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from processors.map_colours import RAMPS, class_colour, lookup
from processors.map_ranges import Range
from processors.map_styles import Style

_WIDTH, _BAR, _LINE, _EDGE = 320, 18, 20, 10
_TEXT, _PAPER = (34, 34, 34), (255, 255, 255)
_NOTE = "Hatched: the model does not apply here"


def legend_document(collection: str, style: Style, ends: Range) -> dict[str, Any]:
    """The legend as JSON: classes with their colours, or stops of the ramp in the unit of the values."""
    document: dict[str, Any] = {"collection": collection, "style": style.id, "title": style.title, "type": style.kind}
    if style.kind == "classes":
        field = style.fields[0]
        document["classes"] = [
            {"value": value, "title": title, "colour": class_colour(field.name, value, position)}
            for position, (value, title) in enumerate(field.categories)
        ]
    elif style.kind == "ramp":
        colours = RAMPS[style.ramp]
        places = np.linspace(*ends, len(colours)).tolist()
        document |= {
            "unit": style.fields[0].unit,
            "range": list(ends),
            "stops": [{"value": round(value, 9), "colour": each} for value, each in zip(places, colours, strict=True)],
        }
    else:
        document |= {"channels": [field.name for field in style.fields], "range": list(ends)}
    if style.veil is not None:
        document["hatched"] = {"field": style.veil.name, "value": 0, "title": _NOTE}
    return document


def legend_picture(style: Style, ends: Range) -> bytes:
    """The legend as PNG."""
    lines = _lines(style)
    height = 2 * _EDGE + _LINE * (1 + lines) + _LINE // 2
    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(image)
    unit = style.fields[0].unit
    # The veil has a line of its own.
    title = style.title if style.kind == "picture" else style.fields[0].title
    _write(draw, _EDGE, title if style.kind != "ramp" or unit == "1" else f"{title} ({unit})")
    top = _EDGE + _LINE + _LINE // 4
    if style.kind == "classes":
        _draw_classes(draw, style, top)
    elif style.kind == "ramp":
        _draw_ramp(image, draw, style, ends, top)
    else:
        for row, (name, field) in enumerate(zip(("Red", "Green", "Blue"), style.fields, strict=True)):
            _write(draw, top + row * _LINE, f"{name}: {field.name}, {ends[0]:g} to {ends[1]:g}")
    if style.veil is not None:
        _write(draw, height - _EDGE - _LINE, _NOTE)
    stream = BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _lines(style: Style) -> int:
    own = {"classes": len(style.fields[0].categories), "ramp": 2, "picture": 3}[style.kind]
    return own + (style.veil is not None)


def _draw_classes(draw: ImageDraw.ImageDraw, style: Style, top: int) -> None:
    field = style.fields[0]
    for position, (value, title) in enumerate(field.categories):
        y = top + position * _LINE
        colour = class_colour(field.name, value, position)
        draw.rectangle((_EDGE, y, _EDGE + _BAR, y + _BAR - 4), fill=colour, outline=_TEXT)
        _write(draw, y, title, left=_EDGE + _BAR + 8)


def _draw_ramp(image: Image.Image, draw: ImageDraw.ImageDraw, style: Style, ends: Range, top: int) -> None:
    width = _WIDTH - 2 * _EDGE
    table = lookup(style.ramp)
    row = table[np.linspace(0, len(table) - 1, width).round().astype(np.intp)]
    image.paste(Image.fromarray(np.repeat(row[np.newaxis], _BAR, axis=0)), (_EDGE, top))
    low, high = ends
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        sign = {0.0: "≤ ", 0.5: "", 1.0: "≥ "}[share]
        text = f"{sign}{low + share * (high - low):.4g}"
        draw.text((_EDGE + share * width, top + _BAR + 2), text, fill=_TEXT, font=_font(), anchor=anchor)


def _write(draw: ImageDraw.ImageDraw, top: int, text: str, left: int = _EDGE) -> None:
    """One line, cut where the paper ends."""
    font, shown = _font(), text
    while shown and font.getlength(shown) > _WIDTH - left - _EDGE:
        shown = shown[:-1]
    draw.text((left, top), shown if shown == text else f"{shown[:-1]}…", fill=_TEXT, font=font)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: it has signs and letters that Pillow's own font lacks."""
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size=12)
