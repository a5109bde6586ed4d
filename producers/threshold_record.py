"""What the record of a threshold surface says: layers, algorithm, regions, quality, limits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil import __version__
from cup4soil.grids import crs_code, crs_of
from cup4soil.methods.thresholds import BIN_WIDTH, HALF_WEIGHT_CELLS, LEAST_CELLS, POOR_SCORE, Finding
from cup4soil.products import Algorithm, Band, Document, Extent, Layer, Measure, Period, ProductRecord, Source
from producers.land_cover import Legend

COLLECTION = "bare-soil-thresholds"
NODATA = -32_768
_SCALE = 1e-4
_VERSION = "1.0"
_REFERENCE = (
    "Heiden et al. (2022): Soil Reflectance Composites: Improved Thresholding and Performance Evaluation. "
    "Remote Sensing 14, 4526. https://doi.org/10.3390/rs14184526"
)
LINEAGE = Document(
    name="lineage",
    title="Lineage: sources, regions and the surface through them",
    file="lineage.json",
    media_type="application/json",
    roles=("metadata", "lineage"),
)
REGIONS = Document(
    name="regions",
    title="Regions with their thresholds and scores",
    file="regions.geojson",
    media_type="application/geo+json",
)
LAYERS: Mapping[str, Layer] = {
    "THRESHOLDS": Layer(
        name="THRESHOLDS",
        title="Thresholds of the bare-soil index",
        description="An observation shows bare soil where its index is at most T_MIN; a surface whose index never "
        "exceeds T_MAX is bare at all times.",
        file="THRESHOLDS.tif",
        bands=(
            Band(name="T_MIN", description="Largest index that counts as bare soil"),
            Band(name="T_MAX", description="Largest maximum of the index of a permanently bare surface"),
        ),
        nodata=NODATA,
        scale=_SCALE,
    ),
    "SCORES": Layer(
        name="SCORES",
        title="Scores of the thresholds",
        description="HISET's score of the thresholds, interpolated alike: 0 separates the classes perfectly, 0.5 not.",
        file="SCORES.tif",
        bands=(
            Band(name="S_MIN", description="Score of T_MIN"),
            Band(name="S_MAX", description="Score of T_MAX"),
        ),
        nodata=NODATA,
        scale=_SCALE,
        roles=("data", "quality"),
    ),
}


@dataclass(frozen=True, slots=True)
class RegionFindings:
    """Both thresholds of a region; ``area`` is in WGS 84, ``centre`` in the CRS of the surface."""

    name: str
    area: BaseGeometry
    centre: tuple[float, float]
    t_min: Finding
    t_max: Finding

    def of(self, name: str) -> Finding:
        """What was found for ``T_MIN`` or ``T_MAX``."""
        return {"T_MIN": self.t_min, "T_MAX": self.t_max}[name]

    def properties(self) -> dict[str, Any]:
        """The findings as properties of a feature."""
        return {"name": self.name, **_properties("t_min", self.t_min), **_properties("t_max", self.t_max)}


def _properties(name: str, found: Finding) -> dict[str, Any]:
    return {
        name: found.value,
        f"{name}_score": None if found.score is None else round(found.score, 6),
        f"{name}_classes": [found.low, found.high],
        f"{name}_cells": [found.low_cells, found.high_cells],
        f"{name}_used": found.used,
        f"{name}_weight": round(found.weight, 6),
        f"{name}_rejected_because": found.reason or None,
    }


def threshold_algorithm(index: str | None, legend: Legend, regions: str, geobox: GeoBox, licence: str) -> Algorithm:
    """The method with all parameters that decide the product; ``regions`` is "tiles" or a file's checksum."""
    return Algorithm(
        name="hiset",
        version=_VERSION,
        title="HISET, histogram separation thresholds by region",
        description="By region, the index value that separates best the minimum of the index over cropland from that "
        "over grassland or forest (T_MIN), and the maximum over built-up land from that over cropland (T_MAX), in "
        "cells of one class throughout. Poor ones are rejected; the others are interpolated by a weighted mean that "
        "falls with distance.",
        parameters={
            "index": index,
            "bin_width": BIN_WIDTH,
            "least_cells": LEAST_CELLS,
            "poor_score": POOR_SCORE,
            "half_weight_cells": HALF_WEIGHT_CELLS,
            "land_cover_classes": legend.parameters(),
            "land_cover_cells": "pure",
            "regions": regions,
            "crs": crs_code(crs_of(geobox)),
            "shape": [geobox.shape[0], geobox.shape[1]],
            "transform": list(geobox.affine)[:6],
            "licence": licence,
        },
        references=(_REFERENCE,),
    )


def threshold_lineage(
    algorithm: Algorithm,
    sources: tuple[Source, ...],
    found: tuple[RegionFindings, ...],
    widths: Mapping[str, float],
) -> dict[str, Any]:
    """How the surfaces came about; ``widths`` are those of the kernel in metres, by band."""
    return {
        "algorithm": algorithm.model_dump(mode="json"),
        "software": {"cup4soil": __version__},
        "kernel_width_m": {name: round(width, 3) for name, width in widths.items()},
        "regions": [region.properties() for region in found],
        "sources": [source.model_dump(mode="json", exclude={"href"}) for source in sources],
    }


def threshold_record(
    product: str,
    algorithm: Algorithm,
    sources: tuple[Source, ...],
    products: tuple[ProductRecord, ...],
    found: tuple[RegionFindings, ...],
    geobox: GeoBox,
    layers: tuple[Layer, ...],
    licence: str,
    attribution: tuple[str, ...],
) -> ProductRecord:
    """The record of finished surfaces; ``products`` are those that the index was taken from."""
    period = Period(start=min(p.period.start for p in products), end=max(p.period.end for p in products))
    simulated = any(p.simulated for p in products)
    used = sum(region.t_min.used for region in found)
    title = "Simulated thresholds" if simulated else "Thresholds"
    credited = (*(notice for p in products for notice in p.attribution), *attribution)
    return ProductRecord(
        id=product,
        collection=COLLECTION,
        kind="thresholds",
        title=f"{title} of the bare-soil index {period.start:%Y-%m-%d} to {period.end:%Y-%m-%d}",
        abstract=(
            "Largest value of the bare-soil index that counts as bare soil (T_MIN), and of permanently bare surfaces "
            f"(T_MAX), as smooth surfaces with their scores, from {used} of {len(found)} regions by HISET."
        ),
        keywords=("soil", "bare soil", "Sentinel-2", "SCMaP", "threshold", "HISET"),
        period=period,
        extent=Extent.of_grid(geobox),
        algorithm=algorithm,
        sources=sources,
        quality=(*_quality("T_MIN", found), *_quality("T_MAX", found)),
        simulated=simulated,
        licence=licence,
        attribution=tuple(dict.fromkeys(credited)),
        limitations=tuple(_limitations(found, simulated)),
        layers=layers,
        documents=(LINEAGE, REGIONS),
    )


def _quality(name: str, found: tuple[RegionFindings, ...]) -> Iterator[Measure]:
    used = [region.of(name) for region in found if region.of(name).used]
    scores = [each.score for each in used if each.score is not None]
    support = f"{name}, {len(found)} regions"
    counts = (("regions used", len(used)), ("regions rejected", len(found) - len(used)))
    for title, count in counts:
        yield Measure(name=title, value=count, unit="1", support=support, description=f"Number of {title} for {name}.")
    if not scores:
        return
    for title, value in (("median score", median(scores)), ("worst score", max(scores))):
        yield Measure(
            name=title,
            value=round(value, 6),
            unit="1",
            support=support,
            description=f"HISET's {title} of the regions used for {name}: 0 perfect, 0.5 useless.",
        )


def _limitations(found: tuple[RegionFindings, ...], simulated: bool) -> Iterator[str]:
    yield "The thresholds go by the extremes of the index: undetected cloud or shadow moves them."
    yield "The classes are as good as the land cover; its errors raise the scores."
    forest = sum(region.t_min.used and region.t_min.high == "forest" for region in found)
    if forest:
        yield f"In {forest} regions cropland was compared with forest, as there is too little grassland."
    rejected = sum(not region.t_min.used for region in found)
    if rejected:
        yield f"{rejected} regions gave no usable threshold: there the surface follows from the other regions."
    if not any(region.t_max.used for region in found):
        yield "No region gave a usable T_MAX: T_MAX and S_MAX are empty."
    if simulated:
        yield "The scenes are simulated: the product shows no real place."
