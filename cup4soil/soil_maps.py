"""The layers of a soil map, and how a model fills them: covariates in, stored integers out.

The batch run and the services call the same :func:`predict_block`, so that they give the same pixels.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cup4soil.depths import Depth
from cup4soil.products import Band, Layer
from cup4soil.properties import SoilProperty
from cup4soil.rasters.encoding import encode
from cup4soil.soil_models import SoilModel

QUANTILES = (0.05, 0.5, 0.95)
MAP_NODATA = -32768
AOA_NODATA = 255
_UNCERTAINTY_SCALE = 0.01
_DI_SCALE = 0.001
_LARGEST = 32767


def soil_map_layers(prop: SoilProperty, depth: Depth | None) -> dict[str, Layer]:
    """The layers of a map of ``prop``, by name, in the order in which they are written."""
    what = prop.title if depth is None else f"{prop.title} at {depth.upper_cm:g}-{depth.lower_cm:g} cm"
    low, mid, high = QUANTILES
    scale = 1.0 / prop.factor
    ratio = "(q95 - q05) / q50 of the stored values; no value where q50 is 0."
    if not prop.ratio_scale:
        ratio += f" {prop.title} has no natural zero, so this ratio says little; use pi90."
    layers = (
        _value("mean", f"{what}, mean", "Mean of the predictive distribution.", prop.unit, scale),
        _value("q05", f"{what}, {low:g} quantile", "Lower end of the 90 % prediction interval.", prop.unit, scale),
        _value(
            "q50", f"{what}, median", f"Median ({mid:g} quantile) of the predictive distribution.", prop.unit, scale
        ),
        _value("q95", f"{what}, {high:g} quantile", "Upper end of the 90 % prediction interval.", prop.unit, scale),
        _value("uncertainty", f"{what}, relative uncertainty", ratio, "1", _UNCERTAINTY_SCALE),
        _value("pi90", f"{what}, width of the 90 % interval", "q95 - q05 of the stored values.", prop.unit, scale),
        Layer(
            name="aoa",
            title="Area of applicability",
            description="Whether the cell's covariates are like those of the training samples: dissimilarity at most"
            " the threshold, and no class that training did not see. Outside, the interval is not to be relied on.",
            file="aoa.tif",
            bands=(Band(name="aoa", description="Area of applicability"),),
            dtype="uint8",
            nodata=AOA_NODATA,
            categories={0: "outside", 1: "inside"},
            roles=("data", "quality"),
        ),
        _value(
            "di",
            "Dissimilarity index",
            "Distance to the nearest training sample in covariate space over the mean distance between training"
            " samples (Meyer & Pebesma 2021). No value where a class is one training did not see.",
            "1",
            _DI_SCALE,
            "quality",
        ),
    )
    return {layer.name: layer for layer in layers}


def predict_block(
    model: SoilModel, covariates: NDArray[np.float32], *, threads: int = 2
) -> dict[str, NDArray[np.integer]]:
    """Stored integers of every layer, each (rows, columns), for covariates (f, rows, columns) in the model's order.

    A cell with a missing covariate has no data in any layer. A class that training did not see puts the
    cell outside the area of applicability, without a dissimilarity; the forest still answers from the
    other covariates. q05 <= q50 <= q95 holds in the integers, and pi90 = q95 - q05 exactly.
    """
    count, rows, cols = covariates.shape
    cells = covariates.reshape(count, -1).T
    known = ~np.isnan(cells).any(axis=1)
    layers = soil_map_layers(model.soil_property, model.description.depth)
    stored = {name: np.full(known.size, layer.nodata, dtype=layer.dtype) for name, layer in layers.items()}
    if known.any():
        for name, values in _predict_cells(model, layers, cells[known], threads).items():
            stored[name][known] = values
    return {name: values.reshape(rows, cols) for name, values in stored.items()}


def soil_map_bands(prop: SoilProperty, depth: Depth | None) -> Layer:
    """The layers of a soil map as the bands of one file, int16 throughout: the applicability too, nodata included."""
    layers = soil_map_layers(prop, depth).values()
    bands = tuple(
        Band(name=layer.name, description=layer.title, unit=layer.bands[0].unit, scale=layer.scale) for layer in layers
    )
    what = prop.title if depth is None else f"{prop.title} at {depth.upper_cm:g}-{depth.lower_cm:g} cm"
    return Layer(
        name="map",
        title=what,
        description="Mean, quantiles and uncertainty of the prediction, and whether the model applies.",
        file="map.tif",
        bands=bands,
        nodata=MAP_NODATA,
    )


def restored(stored: Mapping[str, NDArray[np.integer]], layer: Layer) -> NDArray[np.integer]:
    """Blocks of a soil map, by name, as the bands of ``layer``: (bands, rows, columns) in its type and nodata."""
    return np.stack([_in_layer(stored[band.name], layer) for band in layer.bands])


def _in_layer(values: NDArray[np.integer], layer: Layer) -> NDArray[np.integer]:
    if values.dtype == layer.dtype:
        return values
    # Only the applicability has a type, and with it a mark for missing cells, of its own.
    return np.where(values == AOA_NODATA, np.int16(layer.nodata), values.astype(layer.dtype))


def _predict_cells(
    model: SoilModel, layers: dict[str, Layer], cells: NDArray[np.float32], threads: int
) -> dict[str, NDArray[np.integer]]:
    features, unseen = model.description.encoding.encode(cells)
    prediction = model.forest.predict(features, QUANTILES, threads=threads)
    stored = {"mean": encode(prediction.mean, layers["mean"])}
    for name, values in zip(("q05", "q50", "q95"), prediction.quantiles, strict=True):
        stored[name] = encode(values, layers[name])
    width = stored["q95"].astype(np.int32) - stored["q05"]
    stored["pi90"] = np.minimum(width, _LARGEST).astype(np.int16)
    median = np.where(stored["q50"] == 0, np.nan, stored["q50"])
    stored["uncertainty"] = encode(width / median, layers["uncertainty"])
    index = np.where(unseen, np.nan, model.applicability.dissimilarity(features, threads=threads))
    stored["di"] = encode(index, layers["di"])
    stored["aoa"] = (model.applicability.inside(index) & ~unseen).astype(np.uint8)
    return stored


def _value(name: str, title: str, description: str, unit: str, scale: float, role: str = "data") -> Layer:
    return Layer(
        name=name,
        title=title,
        description=description,
        file=f"{name}.tif",
        bands=(Band(name=name, description=title, unit=unit),),
        nodata=MAP_NODATA,
        scale=scale,
        roles=("data",) if role == "data" else ("data", role),
    )
