"""What the record of a terrain product says: algorithm, sources, limits."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from PIL import Image

from cup4soil.grids import crs_code, crs_of
from cup4soil.methods.flow import EXPONENT, LEAST_SLOPE
from cup4soil.products import Algorithm, Document, Extent, Layer, Period, ProductKind, ProductRecord, Source
from cup4soil.rasters.overview import read_overview
from producers.terrain_request import TerrainRequest, valley_scales

COLLECTION = "terrain"
KIND: ProductKind = "terrain"
OVERVIEW = Document(
    name="overview", title="Relief in shaded light", file="overview.png", media_type="image/png", roles=("overview",)
)
_VERSION = "1.0"
_PICTURE = 512
_LOCAL_REFERENCES = (
    "Florinsky, I. V. (2009): Computation of the third-order partial derivatives from a digital elevation model. "
    "International Journal of Geographical Information Science 23, 213-231. https://doi.org/10.1080/13658810802527499",
    "Weiss, A. (2001): Topographic position and landforms analysis. ESRI User Conference, San Diego.",
)
_WHOLE_REFERENCES = (
    "Barnes, R., Lehman, C. and Mulla, D. (2014): Priority-flood: an optimal depression-filling and watershed-labeling "
    "algorithm for digital elevation models. Computers & Geosciences 62, 117-127. "
    "https://doi.org/10.1016/j.cageo.2013.04.024",
    "Freeman, T. G. (1991): Calculating catchment area with divergent flow based on a regular grid. Computers & "
    "Geosciences 17, 413-422. https://doi.org/10.1016/0098-3004(91)90048-I",
    "Beven, K. J. and Kirkby, M. J. (1979): A physically based, variable contributing area model of basin hydrology. "
    "Hydrological Sciences Bulletin 24, 43-69. https://doi.org/10.1080/02626667909491834",
    "Gallant, J. C. and Dowling, T. I. (2003): A multiresolution index of valley bottom flatness for mapping "
    "depositional areas. Water Resources Research 39, 1347. https://doi.org/10.1029/2002WR001426",
)


def terrain_algorithm(request: TerrainRequest, geobox: GeoBox, scales: Mapping[float, int], licence: str) -> Algorithm:
    """The method with all parameters that decide the product."""
    whole = {
        "flow_exponent": EXPONENT,
        "least_slope": LEAST_SLOPE,
        "valley_scales": valley_scales(request, geobox),
    }
    return Algorithm(
        name="terrain",
        version=_VERSION,
        title="Terrain attributes of a digital elevation model",
        description="Slope, aspect and curvature of the polynomial fitted to 5 x 5 cells (xDEM), position within the "
        "relief around at several scales"
        + (
            "; depressions filled, flow divided among lower neighbours, wetness, flatness of valley bottoms and ridge "
            "tops over several resolutions."
            if request.flow
            else "."
        ),
        parameters={
            "band": request.band,
            "scales_m": list(scales),
            "scales_cells": list(scales.values()),
            "flow": request.flow,
            "crs": crs_code(crs_of(geobox)),
            "shape": list(geobox.shape),
            "transform": [round(value, 6) for value in list(geobox.affine)[:6]],
            "licence": licence,
            **(whole if request.flow else {}),
        },
        references=_LOCAL_REFERENCES + (_WHOLE_REFERENCES if request.flow else ()),
    )


def terrain_record(
    product: str,
    request: TerrainRequest,
    algorithm: Algorithm,
    sources: tuple[Source, ...],
    geobox: GeoBox,
    licence: str,
    layers: tuple[Layer, ...],
    *,
    clipped: Mapping[str, int],
    period: Period | None,
    simulated: bool,
) -> ProductRecord:
    """The record of a finished terrain product; ``clipped`` counts cells whose value did not fit their layer."""
    now = datetime.now(UTC).replace(microsecond=0)
    names = ", ".join(layer.title.lower() for layer in layers)
    return ProductRecord(
        id=product,
        collection=COLLECTION,
        kind=KIND,
        title=request.title or f"Terrain of {sources[0].title or sources[0].id}",
        abstract=f"Covariates made of a digital elevation model with cells of {abs(geobox.affine.a):g} m: {names}."
        + (" The elevation is simulated." if simulated else ""),
        keywords=("terrain", "relief", "digital elevation model", "covariate", "digital soil mapping"),
        period=period or Period(start=now, end=now),
        extent=Extent.of_grid(geobox),
        algorithm=algorithm,
        sources=sources,
        licence=licence,
        attribution=tuple(dict.fromkeys(source.attribution for source in sources if source.attribution)),
        simulated=simulated,
        limitations=_limitations(request, clipped, dated=period is not None),
        layers=layers,
        documents=(OVERVIEW,),
    )


def _limitations(request: TerrainRequest, clipped: Mapping[str, int], *, dated: bool) -> tuple[str, ...]:
    notes = [
        "At the edge and beside missing elevation, slope, aspect and curvature rest on elevation continued in straight"
        " lines, position indices on the part of their square that is known."
    ]
    if request.flow:
        notes.append(
            "Contributing area and wetness are too small where water enters over the edge of the elevation model."
        )
    notes += [
        f"{count} cells of {name} lie past what its integers hold and stand at their end."
        for name, count in sorted(clipped.items())
    ]
    if not dated:
        notes.append("The elevation model states no time; the period given is when the product was made.")
    return tuple(notes)


def write_overview(folder: Path, layer: Layer) -> None:
    """A picture of the relief lit from the north-west, missing cells transparent."""
    heights = read_overview(folder / layer.file, _PICTURE).values[0].astype(np.float64)
    known = np.isfinite(heights)
    level = heights[known].mean() if known.any() else 0.0
    down, across = np.gradient(np.where(known, heights, level))
    # Twice as steep as the steepest twentieth would be 45 degrees: hills show in flat country, too.
    steep = np.quantile(np.hypot(down, across), 0.95) or 1.0
    down, across = down / steep, across / steep
    light = (1 + across + down) / np.sqrt(3 * (1 + across**2 + down**2))
    grey = np.clip(255 * light, 0, 255).astype(np.uint8)
    picture = np.dstack([grey, np.where(known, 255, 0).astype(np.uint8)])
    Image.fromarray(picture, "LA").save(folder / OVERVIEW.file)
