"""The layers of a terrain product: names, units, encoding to the integers of the files."""

from collections.abc import Sequence

from cup4soil.products import Band, Layer

NODATA = -32_768
# Elevation in steps of a decimetre from below the sea to 5 776 m.
_ELEVATION = 0.1, 2500.0


def local_layers(scales_m: Sequence[float], cell_m: float) -> tuple[Layer, ...]:
    """What follows from the surroundings of a cell; ``scales_m`` are half edges of the squares that are looked at."""
    # The finer the cells, the stronger the curvature that they can show.
    curvature = float(f"{1e-4 / cell_m:.1g}")
    fixed = (
        _layer("elevation", "Elevation", "m", _ELEVATION[0], "Elevation of the model.", _ELEVATION[1]),
        _layer("slope", "Slope", "degree", 0.01, "Slope of the surface fitted to 5 x 5 cells."),
        _layer("northness", "Northness", "1", 1e-4, "Cosine of the aspect: 1 faces north, -1 south, 0 level ground."),
        _layer("eastness", "Eastness", "1", 1e-4, "Sine of the aspect: 1 faces east, -1 west, 0 level ground."),
        _layer(
            "profile_curvature", "Profile curvature", "m-1", curvature,
            "Curvature down the slope, positive where convex.",
        ),
        _layer(
            "tangential_curvature", "Tangential curvature", "m-1", curvature,
            "Curvature across the slope, positive where convex: plan (contour) curvature times the sine of the slope, "
            "which is defined on level ground, too.",
        ),
        _layer("roughness", "Roughness", "m", 0.01, "Largest difference to one of the eight cells around."),
    )  # fmt: skip
    return fixed + tuple(layer for scale in scales_m for layer in _at_scale(scale))


def whole_layers() -> tuple[Layer, ...]:
    """What follows from the whole model: flow and valley bottoms."""
    return (
        _layer(
            "flow_accumulation", "Contributing area", "log10(m2)", 1e-3,
            "Common logarithm of the area that drains through the cell, divided among lower neighbours (MFD). Water "
            "that enters over the edge of the model is not counted.",
        ),
        _layer("twi", "Topographic wetness index", "1", 1e-3, "ln(area per metre of contour / tan slope)."),
        _layer(
            "mrvbf", "Multi-resolution valley bottom flatness", "1", 1e-3,
            "After Gallant and Dowling (2003): below 0.5 no valley bottom, then the broader and flatter the higher.",
        ),
        _layer(
            "mrrtf", "Multi-resolution ridge top flatness", "1", 1e-3,
            "After Gallant and Dowling (2003): below 0.5 no ridge top, then the broader and flatter the higher.",
        ),
    )  # fmt: skip


def _at_scale(scale_m: float) -> tuple[Layer, Layer]:
    text = f"{scale_m:g} m"
    return (
        _layer(
            f"tpi_{scale_m:g}m", f"Topographic position index, {text}", "m", 0.02,
            f"Elevation above the mean of the square that reaches {text} to each side.",
        ),
        _layer(
            f"relative_height_{scale_m:g}m", f"Relative height, {text}", "1", 1e-4,
            f"Height between the lowest (0) and the highest (1) cell of the square that reaches {text} to each side.",
        ),
    )  # fmt: skip


def _layer(name: str, title: str, unit: str, scale: float, description: str, offset: float = 0.0) -> Layer:
    return Layer(
        name=name,
        title=title,
        description=description,
        file=f"{name}.tif",
        bands=(Band(name=name, description=title, unit=unit),),
        nodata=NODATA,
        scale=scale,
        offset=offset,
    )
