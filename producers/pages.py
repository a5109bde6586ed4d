"""What the pages of reports share: templates, one style of plots, numbers for JSON."""

import functools
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

# Told apart also by readers who see fewer colours.
BROWN, TEAL, VIOLET, GREY, RED = "#8a4f24", "#1f7a78", "#5b4a9e", "#6b6b6b", "#c0392b"
# Hundredths of a point are finer than any screen.
_PLACE = re.compile(r' (?:d|x|y)="[^"]*"')
_INDENTATION = re.compile(r"\n\s+")
_FONTS = re.compile(r"font-family: 'DejaVu Sans'[^;\"]*sans-serif")
_LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")
_STYLE: Any = {
    "svg.hashsalt": "cup4soil",
    "svg.fonttype": "none",
    # Names of columns and units are text, not formulas.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.grid": True,
    "grid.color": "#e6e2dc",
    "axes.axisbelow": True,
}


def render(template: str, **facts: Any) -> str:
    """The page of HTML that ``template`` of this package makes of ``facts``; what is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("producers"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(**facts) + "\n"


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``document`` to ``path``; what JSON cannot hold, such as NaN, is an error."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def number(value: float) -> float | int | None:
    """A figure for JSON, which has no NaN: undefined is null."""
    if isinstance(value, int):
        return value
    return round(float(value), 6) if math.isfinite(value) else None


def styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Let ``draw`` draw in the style of the reports."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def drawings(figures: Mapping[str, Figure]) -> dict[str, Markup]:
    """Each figure as an ``<svg>`` that a template puts into its page as it is."""
    return {name: Markup(svg(figure)) for name, figure in figures.items()}  # noqa: S704


def drawing(figure: Figure, alternative: str) -> Markup:
    """The figure as an ``<svg>`` that says ``alternative`` to who cannot see it."""
    named = Markup('<svg role="img" aria-label="{}"').format(alternative)
    return named + Markup(svg(figure).removeprefix("<svg"))  # noqa: S704


@styled
def svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element for a page of HTML."""
    target = io.StringIO()
    figure.savefig(target, format="svg", dpi=120, metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    return _light(text[text.index("<svg") :])


def _light(text: str) -> str:
    """A drawing in about half the bytes: short coordinates, one name for the fonts, no indentation."""
    cut = _PLACE.sub(lambda found: _LONG_NUMBER.sub(r"\1", found[0]), text)
    return _INDENTATION.sub("\n", _FONTS.sub("font-family: 'DejaVu Sans', sans-serif", cut))


@styled
def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return target.getvalue()
