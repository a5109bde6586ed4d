"""The process ``predict-soil-property``: a soil map of an area, with its uncertainty and where it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cup4soil import __version__
from cup4soil.area_statistics import AreaStatistics
from cup4soil.depths import Depth
from cup4soil.errors import LimitExceeded
from cup4soil.products import COG_MEDIA_TYPE, ProductRecord, labelled
from cup4soil.progress import Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.soil_areas import Crop
from cup4soil.soil_maps import soil_map_bands
from cup4soil.soil_predictions import SoilMapPlan, plan_map
from processors.job_cluster import parts_of
from processors.jobs.settings import JobSettings
from processors.predict_inputs import INPUTS, PredictInputs
from processors.predict_sources import Item, Shelf, intact, loaded_model
from stac_catalog.thumbnail import thumbnail

PROCESS_ID = "predict-soil-property"
MAP_FILE, PREVIEW_FILE = "map.tif", "preview.png"
PNG = "image/png"
# Of blocks, in cells, wherever they are computed: a job of some size has many, for its progress and for a cluster.
_EDGE = 512
OUTPUTS: dict[str, Any] = {
    "map": {
        "title": "Map",
        "description": "Cloud-optimised GeoTIFF with the bands mean, q05, q50, q95, uncertainty, pi90, aoa, di"
        " and lpd; where the interval is calibrated, also q05-raw and q95-raw, that of the forest itself.",
        "schema": {"type": "string", "contentEncoding": "binary", "contentMediaType": COG_MEDIA_TYPE},
    },
    "preview": {
        "title": "Preview",
        "description": "Picture of the mean.",
        "schema": {"type": "string", "contentEncoding": "binary", "contentMediaType": PNG},
    },
    "statistics": {
        "title": "Statistics of the area",
        "description": "Cells, area, spread of the predicted means, mean width of the cells' intervals, share inside"
        " the area of applicability.",
        "schema": {"type": "object", "contentMediaType": "application/json"},
    },
    "provenance": {
        "title": "Provenance",
        "description": "Model with its validation, covariates, scenes, licence, attribution and limitations.",
        "schema": {"type": "object", "contentMediaType": "application/json"},
    },
}
DESCRIPTION: dict[str, Any] = {
    "version": "1.0.0",
    "id": PROCESS_ID,
    "title": "Predict a soil property",
    "description": "Predicts a soil property, by default soil organic carbon, for an area of interest: mean, quantiles"
    " and the area of applicability of each cell, with statistics and where it all comes from.",
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value", "reference"],
    "keywords": ["soil", "digital soil mapping", "soil organic carbon", "uncertainty", "area of applicability"],
    "links": [],
    "inputs": INPUTS,
    "outputs": OUTPUTS,
    "example": {"inputs": {"bbox": [14.45, 52.38, 14.46, 52.39], "property": "soc"}},
}


@dataclass(frozen=True)
class Prediction:
    """A planned prediction: where the model lies, its covariates, and the cells to map."""

    inputs: PredictInputs
    settings: JobSettings
    shelf: Shelf
    model: Item
    depth: Depth | None
    stack: CovariateStack
    crop: Crop

    @property
    def cells(self) -> int:
        """Cells of the grid under the area."""
        return self.crop.cells

    def run(self, folder: Path, progress: Progress) -> dict[str, dict[str, Any]]:
        """Write map and preview into ``folder``; see :class:`processors.processes.Plan`.

        Raises:
            NoData: when no cell of the area has all covariates.
        """
        model = loaded_model(self.model.folder)
        plan = plan_map(
            model, self.stack, self.inputs.area, self.settings, code=self.inputs.property_code, depth=self.depth
        )  # fmt: skip
        layer = soil_map_bands(plan.soil_property, plan.depth, calibrated=plan.output.calibrated)
        statistics = AreaStatistics(plan.soil_property, plan.crop.geobox)
        with intact(), parts_of(plan, self.model.folder, self.settings) as parts:
            record = plan.write(
                (layer,), folder, progress, watch=statistics.add, tags=_tags(plan), edge=_EDGE, parts=parts
            )
        outputs: dict[str, dict[str, Any]] = {"map": {"file": MAP_FILE, "type": COG_MEDIA_TYPE}}
        if _write_preview(record, folder):
            outputs["preview"] = {"file": PREVIEW_FILE, "type": PNG}
        if self.inputs.statistics:
            outputs["statistics"] = {"value": statistics.to_dict() | {"depth": record.depth}}
        return outputs | {"provenance": {"value": self._provenance(record)}}

    def _provenance(self, record: ProductRecord) -> dict[str, Any]:
        model = self.model.record
        return {
            "id": record.id,
            "title": record.title,
            "property": record.property_code,
            "depth": record.depth,
            "period": record.period.model_dump(mode="json"),
            "crs": record.extent.crs,
            "model": {"id": model.id, "collection": model.collection, "title": model.title},
            "covariates": [
                {"role": source.role, "id": source.id, "title": source.title, "names": source.properties["covariates"]}
                for source in record.sources
                if "covariates" in source.properties
            ],
            "scenes": self.shelf.scenes(record.sources),
            "verdict": record.verdict,
            "quality": [measure.model_dump() for measure in record.quality],
            "licence": record.licence,
            "attribution": list(record.attribution),
            "limitations": list(record.limitations),
            "simulated": record.simulated,
            "algorithm": {"name": record.algorithm.name, "version": record.algorithm.version},
            "references": list(record.algorithm.references),
            "software": f"cup4soil {__version__}",
        }


class PredictSoilProperty:
    """The process; see :class:`processors.processes.Process`."""

    description: Mapping[str, Any] = DESCRIPTION

    def plan(self, store: Path, settings: JobSettings, inputs: Mapping[str, Any]) -> Prediction:
        """Check the inputs and find model, covariates and cells; no raster is read.

        Raises:
            InvalidInput: when an input cannot be used.
            InvalidArea: when the area is none, or lies outside the covariates.
            NoData: when there are no covariates of that time.
            LimitExceeded: when the area is larger than any job may be.
        """
        wanted = PredictInputs.parse(inputs, most_vertices=settings.area_vertices)
        shelf = Shelf(store, settings)
        model, depth = shelf.model(wanted.property_code, wanted.depth)
        stack = shelf.covariates(model, wanted.area, wanted.period)
        crop = wanted.area.on(stack.geobox)
        if crop.cells > settings.job_cells:
            raise LimitExceeded(
                f"an area of {crop.cells} cells is larger than the limit of {settings.job_cells}",
                "choose a smaller area",
            )
        return Prediction(wanted, settings, shelf, model, depth, stack, crop)


PROCESS = PredictSoilProperty()


def _write_preview(record: ProductRecord, folder: Path) -> bool:
    """Write the picture of the first band; False when there is nothing to show."""
    mean = record.layers[0].model_copy(update={"name": "mean"})
    picture = thumbnail(record.model_copy(update={"layers": (mean,)}), folder)
    if picture is not None:
        (folder / PREVIEW_FILE).write_bytes(picture)
    return picture is not None


def _tags(plan: SoilMapPlan) -> dict[str, str]:
    """Where the values come from, for whoever has the file alone."""
    attribution = dict.fromkeys(source.attribution for source in plan.sources if source.attribution)
    simulated = plan.model.record.simulated or plan.stack.simulated
    tags = {
        "TIFFTAG_IMAGEDESCRIPTION": labelled(plan.soil_property.title, plan.output.verdict),
        "TIFFTAG_SOFTWARE": f"cup4soil {__version__}",
        "TIFFTAG_COPYRIGHT": "; ".join([plan.licence, *attribution]),
        "PRODUCT": plan.id,
        "MODEL": plan.model.record.id,
        "LICENCE": plan.licence,
        "ATTRIBUTION": "; ".join(attribution),
        "SIMULATED": "yes" if simulated else "no",
    }
    return {name: text for name, text in tags.items() if text}
