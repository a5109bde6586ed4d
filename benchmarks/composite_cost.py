"""Cost of a composite against dates and against area: ``python benchmarks/composite_cost.py --folder DIR --plots DIR``.

Simulated archives (``archives.py``): 512 x 512 cells with 30 to 240 dates, and 60 dates with 256 x 256 to 1024 x 1024
cells. Each run in a process of its own, with its files in the page cache; the best of several. CPU seconds of reading
and computing are told, without the writing of the files; straight lines are fitted by least squares, and drawn as SVG.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.archives import ArchiveSpec, simulated_archive, thinned
from benchmarks.composite import in_own_process, run_engine
from cup4soil.settings import Settings

_DATES = {240: 1, 120: 2, 60: 4, 30: 8}
_SIZE = 512
_SIZES = (256, 512, 768, 1024)
_SIZES_DATES = 60
_TINY = ArchiveSpec(48, 6)


@dataclass(frozen=True, slots=True)
class Line:
    """CPU seconds = ``start`` + ``slope`` * x; ``fit`` is the share of the variance that the line explains."""

    start: float
    slope: float
    fit: float


def fitted(seconds: Mapping[float, float]) -> Line:
    """The least-squares line through seconds by x."""
    x, y = np.array(list(seconds)), np.array(list(seconds.values()))
    slope, start = np.polyfit(x, y, 1)
    residual = y - start - slope * x
    return Line(float(start), float(slope), float(1 - residual.var() / y.var()))


def draw(seconds: Mapping[float, float], line: Line, label: str, path: Path) -> None:
    """Measured points and their line, as a small SVG that is the same for the same figures."""
    with mpl.rc_context({"svg.hashsalt": "cup4soil", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(4.2, 2.8), layout="constrained")
        axes = figure.add_subplot()
        ends = np.array([0.0, max(seconds)])
        axes.plot(ends, line.start + line.slope * ends, color="0.6", linewidth=1)
        axes.plot(list(seconds), list(seconds.values()), "o", color="#8c510a")
        axes.set(xlabel=label, ylabel="CPU seconds", xlim=(0, None), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})


def _measure(catalog: Path, rounds: int, arguments: list[str]) -> float:
    own = [__file__, *arguments, "--catalog", str(catalog)]
    return min(float(in_own_process(own)) for _ in range(rounds))


def _run(catalog: Path, options: argparse.Namespace) -> None:
    """What the own process of a run does: a tiny run first, which loads what is compiled. Of the rounds the first fills
    the page cache.
    """
    settings, folder = Settings(threads=options.threads), options.folder / "cost"
    run_engine(simulated_archive(_TINY, options.folder), folder, settings)
    steps = run_engine(catalog, folder, settings)
    print(json.dumps(next(iter(steps.values())).cpu))


def _told(name: str, unit: str, seconds: Mapping[float, float], line: Line) -> None:
    print(f"{name}: " + ", ".join(f"{x:g} {unit} {y:.2f} s" for x, y in seconds.items()))
    print(f"  {line.start:.2f} s + {line.slope:.4f} s x {unit}; explains {100 * line.fit:.2f} %", flush=True)


def main() -> None:
    """Measure, fit, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where archives are kept")
    parser.add_argument("--plots", type=Path, help="where the plots go")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--catalog", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.catalog:
        _run(options.catalog, options)
        return
    arguments = ["--folder", str(options.folder), "--threads", str(options.threads)]
    series = simulated_archive(ArchiveSpec(_SIZE, max(_DATES)), options.folder, options.threads)
    by_dates = {float(n): _measure(thinned(series, k), options.rounds, arguments) for n, k in sorted(_DATES.items())}
    by_area = {}
    for size in _SIZES:
        catalog = simulated_archive(ArchiveSpec(size, _SIZES_DATES), options.folder, options.threads)
        by_area[size**2 / 1e6] = _measure(catalog, options.rounds, arguments)
    for name, unit, label, seconds in (
        ("dates", "dates", f"dates ({_SIZE} x {_SIZE} cells)", by_dates),
        ("area", "million cells", f"million cells of 20 m ({_SIZES_DATES} dates)", by_area),
    ):
        line = fitted(seconds)
        _told(name, unit, seconds, line)
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
            draw(seconds, line, label, options.plots / f"composite-cost-{name}.svg")


if __name__ == "__main__":
    main()
