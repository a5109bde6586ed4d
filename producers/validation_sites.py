"""The validation sites of a model as a product: places, what was measured and what was predicted without seeing it.

The product is one GeoJSON file (RFC 7946) whose features say all that a reader needs by themselves.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cup4soil.depths import Depth
from cup4soil.grids import Bounds
from cup4soil.products import Algorithm, Document, Extent, ProductRecord, Source, labelled, product_id
from cup4soil.properties import property_codes
from producers.training_record import bounds_of_places, lower_first, sample_places
from producers.training_result import OutputResult, TrainingResult

COLLECTION: Final = "validation-sites"
SITES_FILE: Final = "sites.geojson"
GEOJSON: Final = "application/geo+json"
_VERSION = "1.0"
# Of a degree of latitude; rounding of places needs no more.
_METRES_PER_DEGREE = 111_320.0
_LEAST_COSINE = 0.01
_DIGITS = 7  # of degrees: a centimetre
_DOCUMENTS = (Document(name="sites", title="Validation sites", file=SITES_FILE, media_type=GEOJSON, roles=("data",)),)

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SitesPlan:
    """The sites of the model ``model``, of samples ``sources``: identity before anything is computed.

    ``grid_m`` is the edge of the cells to whose centres places are rounded, None for places as they are.
    """

    subject: str
    model: str
    sources: tuple[Source, ...]
    grid_m: float | None

    @cached_property
    def algorithm(self) -> Algorithm:
        """How the values at the sites were held out."""
        return Algorithm(
            name="held-out-validation",
            version=_VERSION,
            title="Spatial cross-validation",
            description="Each sample was predicted by a forest that had not seen its fold, with the 90 % interval.",
            parameters={"model": self.model, "grid_m": self.grid_m},
        )

    @cached_property
    def id(self) -> str:
        """Identity of the product, and name of its folder in that of the model."""
        return product_id(f"sites-{self.subject}", self.algorithm, self._sources)

    @property
    def _sources(self) -> tuple[Source, ...]:
        return (Source(role="model", id=self.model, title="The model that was validated"), *self.sources)

    def write(self, folder: Path, result: TrainingResult, model: ProductRecord, *, dated: bool) -> ProductRecord:
        """Write the product into the new folder ``folder`` and return its record; ``model`` is the model's."""
        folder.mkdir()
        lon, lat = sample_places(result)
        if self.grid_m is not None:
            lon, lat = rounded(lon, lat, self.grid_m)
        stated = self._stated(model, dated=dated)
        features = list(_features(self.id, result, lon, lat, stated, named=self.grid_m is None))
        document = {"type": "FeatureCollection", "features": features}
        (folder / SITES_FILE).write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
        record = self._record(result, model, bounds_of_places(lon, lat))
        record.write(folder)
        return record

    def _record(self, result: TrainingResult, model: ProductRecord, bounds: Bounds) -> ProductRecord:
        title = f"Validation sites of {lower_first(result.subject)}"
        return model.model_copy(
            update={
                "id": self.id,
                "collection": COLLECTION,
                "kind": "samples",
                "title": labelled(title, model.verdict),
                "abstract": f"{len(result.table)} places with what was measured there and what the model {self.model},"
                f" trained without them, predicted, with its 90 % interval. Places are {self._position}.",
                "extent": Extent.of_bounds(bounds),
                "algorithm": self.algorithm,
                "sources": self._sources,
                "documents": _DOCUMENTS,
            }
        )

    @property
    def _position(self) -> str:
        return "as stated" if self.grid_m is None else f"rounded to {self.grid_m:g} m"

    def _stated(self, model: ProductRecord, *, dated: bool) -> dict[str, Any]:
        """What all sites have in common."""
        period = model.period if dated else None
        return {
            "model": self.model,
            "simulated": model.simulated,
            "licence": model.licence,
            "attribution": "; ".join(model.attribution),
            "source": "; ".join(source.title for source in self.sources),
            "source_licence": "; ".join(dict.fromkeys(source.licence for source in self.sources if source.licence)),
            "position": self._position,
            "start_datetime": None if period is None else period.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end_datetime": None if period is None else period.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def rounded(lon: _Floats, lat: _Floats, grid_m: float) -> tuple[_Floats, _Floats]:
    """Centres of the cells of ``grid_m`` metres in which places in degrees lie; rows of cells are as wide as they are
    high in their middle.
    """
    high = grid_m / _METRES_PER_DEGREE
    middle = np.clip((np.floor(lat / high) + 0.5) * high, -90.0, 90.0)
    wide = high / np.maximum(np.cos(np.radians(middle)), _LEAST_COSINE)
    return np.clip((np.floor(lon / wide) + 0.5) * wide, -180.0, 180.0), middle


def _features(
    product: str, result: TrainingResult, lon: _Floats, lat: _Floats, stated: dict[str, Any], *, named: bool
) -> Iterator[dict[str, Any]]:
    """One feature for each sample and output."""
    number = 0
    for place in range(len(result.table)):
        point = {"type": "Point", "coordinates": [round(float(axis[place]), _DIGITS) for axis in (lon, lat)]}
        of_place = _of_sample(result, place, named=named)
        for output in result.outputs:
            number += 1
            yield {
                "type": "Feature",
                "id": f"{product}.{number:06d}",
                "geometry": point,
                "properties": {**_of_output(output, place), **of_place, **stated},
            }


def _of_sample(result: TrainingResult, place: int, *, named: bool) -> dict[str, Any]:
    """Depth, and whether the model holds there. A name would tell the place where places are rounded."""
    depths = result.table.depths
    upper, lower = (None, None) if depths is None else (float(each) for each in depths[place])
    interval = None if upper is None or lower is None or not upper < lower else str(Depth(upper, lower))
    found = float(result.training_dissimilarity[place])
    return {
        "sample": (result.table.ids[place] or None) if named else None,
        "depth": interval,
        "upper_cm": upper,
        "lower_cm": lower,
        "di": _digits(found) if math.isfinite(found) else None,
        "inside_aoa": bool(found <= result.threshold),
    }


def _of_output(output: OutputResult, place: int) -> dict[str, Any]:
    validation = output.calibrated or output.spatial
    held = validation.held_out
    observed, predicted, low, high = (float(each[place]) for each in (held.observed, held.mean, held.lower, held.upper))
    return {
        "property": output.prop.code if output.prop.code in property_codes() else output.column,
        "unit": output.prop.unit,
        "observed": _digits(observed),
        "predicted": _digits(predicted),
        "q05": _digits(low),
        "q95": _digits(high),
        "error": _digits(predicted - observed),
        "inside_interval": bool(low <= observed <= high),
        "interval": "90 %, calibrated" if output.calibrated is not None else "90 %, as the forest gives it",
        "fold": int(validation.folds[place]),
        "validation": validation.support,
    }


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
