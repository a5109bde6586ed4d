"""Fields of our own extension of STAC: what a soil product is, how good it is, and where it applies.

The schema lies in ``schemas/cup4soil-v1.0.0.json``; the fields are explained in ``docs/stac-extension.md``.
"""

import re
from typing import Any, Final

import pystac

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.products import ProductRecord

_AREA: Final = "aoa"
_DISSIMILARITY: Final = "di"
_QUANTILE: Final = re.compile(r"q(\d\d)(-raw)?")
_STATISTICS: Final = {
    "mean": "mean",
    "uncertainty": "relative-interval-width",
    "pi90": "interval-width",
    _AREA: "applicability",
    _DISSIMILARITY: "dissimilarity",
}


def soil_fields(record: ProductRecord) -> dict[str, Any]:
    """The properties of a product's item."""
    algorithm = record.algorithm
    fields: dict[str, Any] = {
        "cup4soil:kind": record.kind,
        "cup4soil:property": record.property_code,
        "cup4soil:depth": record.depth,
        "cup4soil:depth_interval": _interval(record.depth),
        "cup4soil:simulated": record.simulated,
        "cup4soil:verdict": record.verdict,
        "cup4soil:algorithm": {"name": algorithm.name, "version": algorithm.version, "title": algorithm.title},
        "cup4soil:parameters": algorithm.model_dump(mode="json")["parameters"],
        "cup4soil:quality": [measure.model_dump(mode="json") for measure in record.quality],
        "cup4soil:limitations": list(record.limitations),
        "cup4soil:applicability": _applicability(record),
    }
    return {name: value for name, value in fields.items() if value is not None}


def describe_statistics(item: pystac.Item, record: ProductRecord) -> None:
    """Say of each layer of a soil map which statistic it is, as far as its name tells."""
    if record.kind != "soil-map":
        return
    for layer in record.layers:
        item.assets[layer.name].extra_fields.update(statistic_fields(layer.name))


def statistic_fields(name: str) -> dict[str, Any]:
    """Fields of the asset of a soil map's layer; none for a layer of another name."""
    match = _QUANTILE.fullmatch(name)
    if match is not None and match[1] != "00":
        return {
            "cup4soil:statistic": "quantile",
            "cup4soil:probability": int(match[1]) / 100,
            "cup4soil:calibrated": match[2] is None,
        }
    return {"cup4soil:statistic": _STATISTICS[name]} if name in _STATISTICS else {}


def _interval(depth: str | None) -> list[float] | None:
    """Upper and lower end in cm; None where the text is no interval."""
    if depth is None:
        return None
    try:
        interval = Depth.parse(depth)
    except InvalidInput:
        return None
    return [interval.upper_cm, interval.lower_cm]


def _applicability(record: ProductRecord) -> dict[str, Any] | None:
    """Which assets tell where the map applies, and the share of cells where it does; None where none does."""
    layers = {layer.name: layer for layer in record.layers}
    found: dict[str, Any] = {}
    if _AREA in layers:
        found["area"] = _AREA
        statistics = layers[_AREA].statistics
        if statistics is not None:
            found["share"] = round(statistics.mean, 6)
    if _DISSIMILARITY in layers:
        found["dissimilarity"] = _DISSIMILARITY
    return found or None
