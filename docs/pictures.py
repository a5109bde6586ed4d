"""Draw the pictures of README and docs from a store that ``cup4soil demo`` filled.

Usage: ``python docs/pictures.py STORE``
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from cup4soil.rasters.overview import read_overview

IMAGES = Path(__file__).parent / "images"
PANELS = (
    ("mean", "Soil organic carbon, mean (g/kg)", "viridis"),
    ("pi90", "Width of the 90 % interval (g/kg)", "magma"),
    ("aoa", "Area of applicability (1 inside)", "cividis"),
)


def composite(folder: Path) -> Figure:
    """Bare-soil reflectance in true colour, its frequency, and the mask."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    colour, frequency, mask = figure.subplots(1, 3)
    bands = read_overview(folder / "SRC.tif", 600).values
    rgb = bands[[2, 1, 0]]
    low, high = np.nanpercentile(rgb, (2, 98))
    picture = np.clip((rgb - low) / (high - low), 0, 1)
    colour.imshow(np.where(np.isnan(picture), 1, picture).transpose(1, 2, 0))
    colour.set_title("Bare-soil reflectance (B04, B03, B02)")
    shown = frequency.imshow(read_overview(folder / "SFREQ.tif", 600).values[0], cmap="YlOrBr", vmin=0)
    figure.colorbar(shown, ax=frequency)
    frequency.set_title("Bare-soil frequency")
    classes = mpl.colormaps["Set2"].resampled(5)
    shown = mask.imshow(
        read_overview(folder / "MASK.tif", 600, categorical=True).values[0], cmap=classes, vmin=-0.5, vmax=4.5
    )
    figure.colorbar(shown, ax=mask, ticks=range(5)).set_ticklabels(
        ["unobserved", "bare", "vegetated", "other", "rarely bare"]
    )
    mask.set_title("Mask")
    return figure


def soil_map(folder: Path) -> Figure:
    """The mean with its uncertainty and where it applies."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    for axes, (name, title, colours) in zip(figure.subplots(1, 3), PANELS, strict=True):
        values = read_overview(folder / f"{name}.tif", 600, categorical=name == "aoa").values[0]
        low, high = np.nanpercentile(values, (2, 98)) if name != "aoa" else (0, 1)
        figure.colorbar(axes.imshow(values, cmap=colours, vmin=low, vmax=high), ax=axes)
        axes.set_title(title)
    return figure


def main(store: Path) -> None:
    """Write the pictures beside this file."""
    IMAGES.mkdir(exist_ok=True)
    for name, draw, folder in (("composite", composite, "composite"), ("soc", soil_map, "soc")):
        figure = draw(store / "demo" / folder)
        for axes in figure.axes:
            if axes.images:
                axes.set_axis_off()
        figure.savefig(IMAGES / f"{name}.png", dpi=90)
    (IMAGES / "validation.png").write_bytes((store / "demo" / "model" / "overview.png").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
