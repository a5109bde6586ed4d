"""What the record of an index product says: algorithm, lineage, what can be brought up to date and what cannot."""

from dataclasses import dataclass
from typing import Any

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil import __version__
from cup4soil.grids import crs_code, crs_of
from cup4soil.methods.bare_soil import MAX_SUN_ZENITH_DEG
from cup4soil.methods.bare_tests import BareTest
from cup4soil.products import Algorithm, Extent, Layer, Measure, Period, ProductRecord, Source
from producers.block_runs import Broken
from producers.composite_plan import BlockPlan
from producers.composite_record import (
    LINEAGE,
    TILES,
    scene_limitations,
    sensing_notice,
    unread_limitations,
    unread_lineage,
    warping,
)
from producers.index_request import IndexRequest
from producers.scenes import Selection

COLLECTION = "bare-soil-index"
_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class IndexMaking:
    """All that is known of how an index product was made.

    ``previous`` is the product it brings up to date; ``read`` are the scenes that were read; ``observations`` are all
    valid ones, in ``observed`` cells.
    """

    request: IndexRequest
    selection: Selection
    geobox: GeoBox
    test: BareTest
    algorithm: Algorithm
    sources: tuple[Source, ...]
    licence: str
    previous: ProductRecord | None
    read: int
    broken: Broken
    blocks: int
    plan: BlockPlan
    observed: int
    observations: int

    @property
    def simulated(self) -> bool:
        """True when a scene is."""
        return any(scene.simulated for scene in self.selection.scenes)


def index_algorithm(
    request: IndexRequest, test: BareTest, geobox: GeoBox, area: BaseGeometry | None, licence: str
) -> Algorithm:
    """The method with all parameters that decide the product; whether it was made by an update is none of them."""
    return Algorithm(
        name="scmap-index",
        version=_VERSION,
        title=f"Temporal extremes of the bare-soil index {test.index_title}",
        description=f"Least and largest {test.index_title} over the valid observations, and their number in each "
        "calendar month. Invalid classes, cloud borders and low sun are removed; residual cloud is not, which takes "
        "the median of B02 over the whole period.",
        parameters={
            "test": test.name,
            "index": test.index_title,
            "max_cloud_percent": request.max_cloud_percent,
            "max_sun_zenith_deg": MAX_SUN_ZENITH_DEG,
            "boa_offset_dn": request.boa_offset_dn,
            "start": None if request.start is None else request.start.isoformat(),
            "end": None if request.end is None else request.end.isoformat(),
            "crs": crs_code(crs_of(geobox)),
            "shape": [geobox.shape[0], geobox.shape[1]],
            "transform": list(geobox.affine)[:6],
            "licence": licence,
            "area": None if area is None else shapely.to_wkt(area, rounding_precision=3),
        },
        references=test.references,
    )


def index_record(product: str, making: IndexMaking, layers: tuple[Layer, ...]) -> ProductRecord:
    """The record of a finished index product."""
    times = sorted(scene.time for scene in making.selection.scenes)
    period = Period(start=making.request.start or times[0], end=making.request.end or times[-1])
    kind = "Simulated extremes" if making.simulated else "Extremes"
    index = making.test.index_title
    return ProductRecord(
        id=product,
        collection=COLLECTION,
        kind="index",
        title=f"{kind} of the bare-soil index {index} {period.start:%Y-%m-%d} to {period.end:%Y-%m-%d}",
        abstract=f"Least and largest {index} over the valid observations of {len(times)} scenes between "
        f"{times[0]:%Y-%m-%d} and {times[-1]:%Y-%m-%d} at 20 m, and how many observations each calendar month has. "
        "From them regional thresholds are found (HISET); later scenes can be added exactly without reading the "
        "earlier ones again." + (" The scenes and the landscape are simulated." if making.simulated else ""),
        keywords=("soil", "bare soil", "Sentinel-2", "SCMaP", index, "temporal minimum", "temporal maximum"),
        period=period,
        extent=Extent.of_grid(making.geobox),
        algorithm=making.algorithm,
        sources=making.sources,
        quality=_quality(making),
        simulated=making.simulated,
        licence=making.licence,
        attribution=_attribution(making),
        limitations=_limitations(making),
        layers=layers,
        documents=(LINEAGE, TILES),
    )


def index_lineage(making: IndexMaking) -> dict[str, Any]:
    """How the product came about, with every scene used and left out."""
    return {
        "algorithm": making.algorithm.model_dump(mode="json"),
        "software": {"cup4soil": __version__},
        "warping": warping(making.selection, making.geobox),
        "overpasses": len(making.selection.overpasses),
        "update": None if making.previous is None else {"of": making.previous.id, "scenes_read": making.read},
        "blocks": {
            "number": making.blocks,
            "edge_cells": making.plan.edge,
            "readings_of_a_stored_cell": round(making.plan.readings, 3),
        },
        "unread": unread_lineage(making.broken),
        "sources": [source.model_dump(mode="json", exclude={"href"}) for source in making.sources],
        "rejected": {scene: str(why) for scene, why in sorted(making.selection.rejected.items())},
    }


def _quality(making: IndexMaking) -> tuple[Measure, ...]:
    return (
        Measure(
            name="valid observations",
            value=round(making.observations / making.observed, 3),
            unit="1",
            support=f"{making.observed} observed cells",
            description="Mean number of valid observations of an observed cell.",
        ),
    )


def _attribution(making: IndexMaking) -> tuple[str, ...]:
    """The scenes' notice, whom the earlier product credits besides, and whom the request does."""
    times = sorted(scene.time for scene in making.selection.scenes)
    notices = [sensing_notice(times[0].year, times[-1].year, simulated=making.simulated)]
    if making.previous is not None:
        # The first is its notice of its own scenes, all of which are among these.
        notices += making.previous.attribution[1:]
    return tuple(dict.fromkeys((*notices, *making.request.attribution)))


def _limitations(making: IndexMaking) -> tuple[str, ...]:
    return (
        "The extremes are over all valid observations: undetected cloud, haze or shadow moves them.",
        "Later scenes can be added exactly to INDEX and VPC-MONTHLY alone. SRC, SRC-STD, SRC-CI95, MREF, MREF-STD, "
        "BSC, BSF and what follows from them need the median of B02 over the whole period: composites of a longer "
        "period are made by reading all its scenes.",
        *scene_limitations(making.selection),
        *unread_limitations(making.broken, making.blocks),
    )
