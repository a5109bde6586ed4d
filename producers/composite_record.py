"""What the record of a composite says: algorithm, lineage, quality, limits."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil import __version__
from cup4soil.grids import cell_offset, crs_code, crs_of
from cup4soil.methods.bare_soil import MAX_SUN_ZENITH_DEG
from cup4soil.methods.composite import CompositeRules
from cup4soil.products import Algorithm, Document, Extent, Layer, Measure, Period, ProductRecord, Source
from producers.composite_layers import NODATA
from producers.composite_request import CompositeRequest
from producers.scenes import Selection

COLLECTION = "bare-soil-composites"
LINEAGE = Document(
    name="lineage",
    title="Lineage: scenes used and left out",
    file="lineage.json",
    media_type="application/json",
    roles=("metadata", "lineage"),
)
_VERSION = "1.0"
_REFERENCES = (
    "Heiden et al. (2022): Soil Reflectance Composites: Improved Thresholding and Performance Evaluation. "
    "Remote Sensing 14, 4526. https://doi.org/10.3390/rs14184526",
    "Rogge et al. (2018): Building an exposed soil composite processor (SCMaP) for mapping spatial and temporal "
    "characteristics of soils with Landsat imagery (1984-2014). Remote Sensing of Environment 205, 1-17. "
    "https://doi.org/10.1016/j.rse.2017.11.004",
)
_UNOBSERVED = (0, NODATA)


def composite_algorithm(
    request: CompositeRequest, geobox: GeoBox, area: BaseGeometry | None, rules: CompositeRules, licence: str
) -> Algorithm:
    """The method with all parameters that decide the product."""
    return Algorithm(
        name="scmap",
        version=_VERSION,
        title="Soil Composite Mapping Processor rules, operational form of 2026",
        description="Statistics along time of the observations in which PVIR2 is at most the threshold, after invalid "
        "classes, cloud borders, low sun, residual cloud and haze are removed.",
        parameters={
            "index": "pvir2",
            "threshold": request.threshold if isinstance(request.threshold, float) else "raster",
            "max_cloud_percent": request.max_cloud_percent,
            "max_sun_zenith_deg": MAX_SUN_ZENITH_DEG,
            "sigma_bare": rules.sigma_bare,
            "sigma_valid": rules.sigma_valid,
            "least_excess_dn": rules.least_excess_dn,
            "least_bare_count": rules.least_bare_count,
            "boa_offset_dn": request.boa_offset_dn,
            "start": None if request.start is None else request.start.isoformat(),
            "end": None if request.end is None else request.end.isoformat(),
            "crs": crs_code(crs_of(geobox)),
            "shape": [geobox.shape[0], geobox.shape[1]],
            "transform": list(geobox.affine)[:6],
            # Another licence makes another product: what was published stays as it was.
            "licence": licence,
            "area": None if area is None else shapely.to_wkt(area, rounding_precision=3),
        },
        references=_REFERENCES,
    )


def composite_record(
    product: str,
    algorithm: Algorithm,
    sources: tuple[Source, ...],
    selection: Selection,
    request: CompositeRequest,
    geobox: GeoBox,
    layers: tuple[Layer, ...],
    counts: Mapping[int, int],
    licence: str,
) -> ProductRecord:
    """The record of a finished composite; ``counts`` are the cells of each MASK class."""
    times = sorted(scene.time for scene in selection.scenes)
    period = Period(start=request.start or times[0], end=request.end or times[-1])
    simulated = any(scene.simulated for scene in selection.scenes)
    return ProductRecord(
        id=product,
        collection=COLLECTION,
        kind="composite",
        title=_title(period, simulated),
        abstract=_abstract(len(times), times[0], times[-1], simulated),
        keywords=("soil", "bare soil", "reflectance composite", "Sentinel-2", "SCMaP", "soil reflectance"),
        period=period,
        extent=Extent.of_grid(geobox),
        algorithm=algorithm,
        sources=sources,
        quality=_quality(counts),
        simulated=simulated,
        licence=licence,
        attribution=(_notice(times[0].year, times[-1].year, simulated), *request.attribution),
        limitations=_limitations(request, selection, simulated),
        layers=layers,
        documents=(LINEAGE,),
    )


def composite_lineage(
    algorithm: Algorithm, sources: tuple[Source, ...], selection: Selection, geobox: GeoBox, counts: Counter[int]
) -> dict[str, Any]:
    """How the composite came about, with every scene used and left out."""
    native = all(cell_offset(scene.grid, geobox) is not None for scene in selection.scenes)
    return {
        "algorithm": algorithm.model_dump(mode="json"),
        "software": {"cup4soil": __version__},
        "warping": "none: the scenes lie on the grid of the product"
        if native
        else "scenes were masked on their own 20 m grid, then warped once (bilinear)",
        "overpasses": len(selection.overpasses),
        "mask_counts": {str(code): n for code, n in sorted(counts.items()) if code != NODATA},
        "sources": [source.model_dump(mode="json", exclude={"href"}) for source in sources],
        "rejected": {scene: str(why) for scene, why in sorted(selection.rejected.items())},
    }


def _title(period: Period, simulated: bool) -> str:
    kind = "Simulated bare-soil" if simulated else "Bare-soil"
    return f"{kind} reflectance composite {period.start:%Y-%m-%d} to {period.end:%Y-%m-%d}"


def _abstract(scenes: int, first: datetime, last: datetime, simulated: bool) -> str:
    text = (
        f"Reflectance of bare soil and of all surfaces in ten Sentinel-2 bands at 20 m, from {scenes} scenes between "
        f"{first:%Y-%m-%d} and {last:%Y-%m-%d}: means, standard deviations, 95 % confidence half-widths, bare-soil "
        "frequency (over the period and by calendar month) and a surface mask, by the rules of the Soil Composite "
        "Mapping Processor (SCMaP)."
    )
    return text + (" The scenes and the landscape are simulated." if simulated else "")


def _notice(first: int, last: int, simulated: bool) -> str:
    if simulated:
        return "Simulated Sentinel-2 data"
    years = str(first) if first == last else f"{first}-{last}"
    return f"Contains modified Copernicus Sentinel data {years}"


def _quality(counts: Mapping[int, int]) -> tuple[Measure, ...]:
    observed = sum(n for code, n in counts.items() if code not in _UNOBSERVED)
    if not observed:
        return ()
    return (
        Measure(
            name="composited",
            value=round(100.0 * counts.get(1, 0) / observed, 3),
            unit="%",
            support=f"{observed} observed cells",
            description="Cells with at least three bare-soil observations (MASK 1).",
        ),
    )


def _limitations(request: CompositeRequest, selection: Selection, simulated: bool) -> tuple[str, ...]:
    notes = [
        "SRC-CI95 is a half-width by the normal formula; with 3 bare observations its true coverage is about 81 %.",
        "The outlier rule removes bright residual cloud and haze only; an undetected shadow stays in the statistics.",
    ]
    if request.land_cover is None:
        notes.append(
            "No land cover was given: built-up surfaces and water are not masked from SRC, and MASK has no class 3."
        )
    if selection.without_sun_angle:
        notes.append(
            f"{selection.without_sun_angle} scenes state no sun angle: "
            f"the limit of {MAX_SUN_ZENITH_DEG:g} degrees of sun zenith was not applied to them."
        )
    if selection.without_cloud_cover:
        notes.append(f"{selection.without_cloud_cover} scenes state no cloud cover: all of them were used.")
    if simulated:
        notes.append("The scenes are simulated: the product shows no real place.")
    return tuple(notes)
