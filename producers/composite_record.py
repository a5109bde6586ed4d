"""What the record of a composite says: algorithm, lineage, quality, limits."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from cup4soil import __version__
from cup4soil.grids import crs_code, crs_of
from cup4soil.methods.bare_soil import MAX_SUN_ZENITH_DEG
from cup4soil.methods.bare_tests import bare_test
from cup4soil.methods.composite import CompositeRules
from cup4soil.products import Algorithm, Document, Extent, Layer, Measure, Period, ProductRecord, Source
from producers.block_runs import Broken
from producers.composite_layers import NODATA
from producers.composite_plan import BlockPlan
from producers.composite_report import BrokenScene, ReportFacts
from producers.composite_request import CompositeRequest
from producers.composite_windows import TimeWindow
from producers.land_cover import Legend
from producers.scenes import Selection
from producers.thresholds import region_scores

COLLECTION = "bare-soil-composites"
LINEAGE = Document(
    name="lineage",
    title="Lineage: scenes used and left out",
    file="lineage.json",
    media_type="application/json",
    roles=("metadata", "lineage"),
)
TILES = Document(
    name="tiles",
    title="Sentinel-2 tiles of the scenes used",
    file="tiles.geojson",
    media_type="application/geo+json",
    roles=("metadata",),
)
_VERSION = "2.0"
_REFERENCES = (
    *bare_test("pvir2").references,
    "Rogge et al. (2018): Building an exposed soil composite processor (SCMaP) for mapping spatial and temporal "
    "characteristics of soils with Landsat imagery (1984-2014). Remote Sensing of Environment 205, 1-17. "
    "https://doi.org/10.1016/j.rse.2017.11.004",
)
_UNOBSERVED = (0, NODATA)


@dataclass(frozen=True, slots=True)
class Making:
    """All that is known of how a composite was made; ``counts`` are the cells of each MASK class."""

    request: CompositeRequest
    window: TimeWindow
    selection: Selection
    geobox: GeoBox
    algorithm: Algorithm
    sources: tuple[Source, ...]
    licence: str
    broken: Broken
    counts: Mapping[int, int]
    blocks: int
    plan: BlockPlan

    @property
    def period(self) -> Period:
        """The window, from its own ends or from the scenes'."""
        times = sorted(scene.time for scene in self.selection.scenes)
        return Period(start=self.window.start or times[0], end=self.window.end or times[-1])

    @property
    def simulated(self) -> bool:
        """True when a scene is."""
        return any(scene.simulated for scene in self.selection.scenes)


def composite_algorithm(
    request: CompositeRequest,
    window: TimeWindow,
    geobox: GeoBox,
    area: BaseGeometry | None,
    rules: CompositeRules,
    legend: Legend,
    licence: str,
) -> Algorithm:
    """The method with all parameters that decide the product."""
    test = bare_test(request.method)
    threshold = request.index_threshold
    return Algorithm(
        name="scmap",
        version=_VERSION,
        title=f"Soil Composite Mapping Processor rules, operational form of 2026; bare-soil test {test.title}",
        description=f"Statistics along time of the observations that a bare-soil test keeps. {test.description} "
        "Invalid classes, cloud borders, low sun, residual cloud and haze are removed.",
        parameters={
            "test": test.name,
            "index": test.index_title,
            "statistic": test.statistic,
            "threshold": threshold if isinstance(threshold, float) else "raster",
            "max_cloud_percent": request.max_cloud_percent,
            "max_sun_zenith_deg": MAX_SUN_ZENITH_DEG,
            "sigma_bare": rules.sigma_bare,
            "sigma_valid": rules.sigma_valid,
            "least_excess_dn": rules.least_excess_dn,
            "least_bare_count": rules.least_bare_count,
            "boa_offset_dn": request.boa_offset_dn,
            "start": None if window.start is None else window.start.isoformat(),
            "end": None if window.end is None else window.end.isoformat(),
            "months": None if window.months is None else sorted(window.months),
            "land_cover_classes": None if request.land_cover is None else legend.parameters(),
            "crs": crs_code(crs_of(geobox)),
            "shape": [geobox.shape[0], geobox.shape[1]],
            "transform": list(geobox.affine)[:6],
            # Another licence makes another product: what was published stays as it was.
            "licence": licence,
            "area": None if area is None else shapely.to_wkt(area, rounding_precision=3),
        },
        references=tuple(dict.fromkeys((*_REFERENCES, *test.references))),
    )


def composite_record(product: str, making: Making, layers: tuple[Layer, ...]) -> ProductRecord:
    """The record of a finished composite."""
    times = sorted(scene.time for scene in making.selection.scenes)
    return ProductRecord(
        id=product,
        collection=COLLECTION,
        kind="composite",
        title=_title(making),
        abstract=_abstract(making, times),
        keywords=("soil", "bare soil", "reflectance composite", "Sentinel-2", "SCMaP", "soil reflectance"),
        period=making.period,
        extent=Extent.of_grid(making.geobox),
        algorithm=making.algorithm,
        sources=making.sources,
        quality=_quality(making.counts),
        simulated=making.simulated,
        licence=making.licence,
        attribution=(
            sensing_notice(times[0].year, times[-1].year, simulated=making.simulated), *making.request.attribution,
        ),
        limitations=_limitations(making),
        layers=layers,
        documents=(LINEAGE, TILES),
    )  # fmt: skip


def composite_lineage(making: Making) -> dict[str, Any]:
    """How the composite came about, with every scene used and left out."""
    selection = making.selection
    return {
        "algorithm": making.algorithm.model_dump(mode="json"),
        "software": {"cup4soil": __version__},
        "warping": warping(selection, making.geobox),
        "overpasses": len(selection.overpasses),
        "mask_counts": {str(code): n for code, n in sorted(making.counts.items()) if n},
        "blocks": {
            "number": making.blocks,
            "edge_cells": making.plan.edge,
            "bands_in_memory": list(making.plan.kept),
            "readings_of_a_stored_cell": round(making.plan.readings, 3),
        },
        "unread": unread_lineage(making.broken),
        "sources": [source.model_dump(mode="json", exclude={"href"}) for source in making.sources],
        "rejected": {scene: str(why) for scene, why in sorted(selection.rejected.items())},
    }


def report_facts(record: ProductRecord, making: Making, suspects: Mapping[str, tuple[int, int]]) -> ReportFacts:
    """What the quality report tells beside the layers; ``suspects`` are valid and dropped observations by scene."""
    threshold = making.request.index_threshold
    rejected = Counter(why.reason for why in making.selection.rejected.values())
    return ReportFacts(
        product=record.id,
        title=record.title,
        period=record.period,
        tile=making.request.tile,
        grid=making.geobox,
        scenes_used=len(making.selection.scenes),
        threshold=f"{threshold:g}" if isinstance(threshold, float) else f"surface {threshold.name}",
        test=bare_test(making.request.method).title,
        licence=record.licence,
        software=f"cup4soil {__version__}",
        scenes_rejected=dict(rejected),
        broken_scenes={
            scene: BrokenScene(reason, making.broken.blocks[scene]) for scene, reason in making.broken.reasons.items()
        },
        references=record.algorithm.references,
        attribution=record.attribution,
        simulated=record.simulated,
        months=making.window.months,
        suspect_scenes=suspects,
        separability=region_scores(threshold, shape(record.extent.geometry)) if isinstance(threshold, Path) else None,
    )


def tile_outlines(selection: Selection) -> dict[str, Any]:
    """The Sentinel-2 tiles of the scenes as GeoJSON: one polygon for each, of all that its scenes cover."""
    covered: dict[str, list[BaseGeometry]] = {}
    grids = {
        (scene.tile, crs_code(crs_of(scene.grid)), scene.grid.boundingbox.bbox): scene for scene in selection.scenes
    }
    for (tile, _, _), scene in sorted(grids.items(), key=lambda entry: entry[0][:2]):
        covered.setdefault(tile.removeprefix("MGRS-"), []).append(shape(Extent.of_grid(scene.grid).geometry))
    features = [
        {"type": "Feature", "properties": {"tile": tile}, "geometry": mapping(shapely.union_all(parts))}
        for tile, parts in covered.items()
    ]
    return {"type": "FeatureCollection", "features": features}


def warping(selection: Selection, geobox: GeoBox) -> str:
    """Whether and how scenes were brought to the grid."""
    if selection.lies_on(geobox):
        return "none: the scenes lie on the grid of the product"
    return "scenes were masked on their own 20 m grid, then warped once (bilinear over valid cells)"


def sensing_notice(first: int, last: int, *, simulated: bool) -> str:
    """Whom to credit for the scenes."""
    if simulated:
        return "Simulated Sentinel-2 data"
    years = str(first) if first == last else f"{first}-{last}"
    return f"Contains modified Copernicus Sentinel data {years}"


def _title(making: Making) -> str:
    kind = "Simulated bare-soil" if making.simulated else "Bare-soil"
    season = "" if making.window.months is None else f", {making.window.label} only"
    return f"{kind} reflectance composite {making.period.start:%Y-%m-%d} to {making.period.end:%Y-%m-%d}{season}"


def _abstract(making: Making, times: list[datetime]) -> str:
    centre = {"mean": "means", "median": "medians", "geometric-median": "geometric medians"}
    statistic = centre[bare_test(making.request.method).statistic]
    text = (
        f"Reflectance of bare soil and of all surfaces in ten Sentinel-2 bands at 20 m, from {len(times)} scenes "
        f"between {times[0]:%Y-%m-%d} and {times[-1]:%Y-%m-%d}: {statistic}, standard deviations, 95 % confidence "
        "half-widths, bare-soil frequency (over the period and by calendar month) and a surface mask, by the rules of "
        "the Soil Composite Mapping Processor (SCMaP), with layers and a report of quality."
    )
    return text + (" The scenes and the landscape are simulated." if making.simulated else "")


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


def _limitations(making: Making) -> tuple[str, ...]:
    request, selection, test = making.request, making.selection, bare_test(making.request.method)
    notes = [
        "SRC-CI95 is a half-width by the normal formula; with 3 bare observations its true coverage is about 81 %."
        if test.statistic == "mean"
        else "SRC-CI95 is 1.2533 * 1.96 * SRC-STD / sqrt(BSC), the normal approximation for a median; with few bare "
        "observations it is too narrow.",
        "The outlier rule removes bright residual cloud and haze only; an undetected shadow stays in the statistics.",
    ]
    if request.land_cover is None:
        notes.append(
            "No land cover was given: built-up surfaces and water are not masked from SRC, and MASK has no class 3."
        )
    notes += scene_limitations(selection)
    notes += unread_limitations(making.broken, making.blocks)
    return tuple(notes)


def unread_limitations(broken: Broken, blocks: int) -> list[str]:
    """Which scenes are missing in how many of the blocks."""
    if not broken.reasons:
        return []
    places = ", ".join(f"{scene} ({n} of {blocks} blocks)" for scene, n in sorted(broken.blocks.items()))
    return [f"Scenes that could not be read are missing in parts of the product: {places}."]


def unread_lineage(broken: Broken) -> dict[str, Any]:
    """Why and where scenes are missing, by scene."""
    return {
        scene: {"reason": reason, "blocks": broken.blocks[scene]} for scene, reason in sorted(broken.reasons.items())
    }


def scene_limitations(selection: Selection) -> tuple[str, ...]:
    """What the archive left open or could not give."""
    notes = []
    if selection.without_sun_angle:
        notes.append(
            f"{selection.without_sun_angle} scenes state no sun angle: "
            f"the limit of {MAX_SUN_ZENITH_DEG:g} degrees of sun zenith was not applied to them."
        )
    if selection.without_cloud_cover:
        notes.append(f"{selection.without_cloud_cover} scenes state no cloud cover: all of them were used.")
    if selection.unreadable:
        notes.append(f"Scenes that lack a file or a band were left out: {', '.join(selection.unreadable)}.")
    if any(scene.simulated for scene in selection.scenes):
        notes.append("The scenes are simulated: the product shows no real place.")
    return tuple(notes)
