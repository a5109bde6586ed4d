"""The layers of a soil map, and how a model fills them: covariates in, stored integers out.

The batch run and the services call the same :func:`predict_block`, so that they give the same pixels.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cup4soil.depths import Depth
from cup4soil.methods.conformal import Calibration
from cup4soil.methods.forest import Prediction
from cup4soil.products import Band, Layer
from cup4soil.properties import SoilProperty
from cup4soil.rasters.encoding import encode
from cup4soil.soil_models import SoilModel
from cup4soil.soil_outputs import OutputDescription, bounds

QUANTILES = (0.05, 0.5, 0.95)
MAP_NODATA = -32768
AOA_NODATA = 255
_UNCERTAINTY_SCALE = 0.01
_DI_SCALE = 0.001
_LARGEST = 32767

type Stored = Mapping[str, NDArray[np.integer]]


def soil_map_layers(prop: SoilProperty, depth: Depth | None, *, calibrated: bool = False) -> dict[str, Layer]:
    """The layers of a map of ``prop``, by name, in the order in which they are written.

    Where the interval is ``calibrated``, that of the forest itself stands beside it as ``q05-raw`` and ``q95-raw``.
    """
    what = subject(prop, depth)
    scale = 1.0 / prop.factor

    def value(name: str, title: str, description: str) -> Layer:
        return _value(name, f"{what}, {title}", description, prop.unit, scale)

    ratio = "(q95 - q05) / q50 of the stored values; no value where q50 is 0."
    if not prop.ratio_scale:
        ratio += f" {prop.title} has no natural zero, so this ratio says little; use pi90."
    how = ", calibrated on spatially held-out samples" if calibrated else ""
    low, mid, high = QUANTILES
    layers = [
        value("mean", "mean", "Mean of the predictive distribution."),
        value("q05", f"{low:g} quantile", f"Lower end of the 90 % prediction interval{how}."),
        value("q50", "median", f"Median ({mid:g} quantile) of the predictive distribution."),
        value("q95", f"{high:g} quantile", f"Upper end of the 90 % prediction interval{how}."),
    ]
    if calibrated:
        layers += [
            value(f"{name}-raw", f"{level:g} quantile of the forest", "As the forest gives it, before calibration.")
            for name, level in (("q05", low), ("q95", high))
        ]
    layers += [
        _value("uncertainty", f"{what}, relative uncertainty", ratio, "1", _UNCERTAINTY_SCALE),
        value("pi90", "width of the 90 % interval", "q95 - q05 of the stored values."),
        *_applicability_layers(),
    ]
    return {layer.name: layer for layer in layers}


def _applicability_layers() -> tuple[Layer, ...]:
    inside = Layer(
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
    )
    index = _value(
        "di",
        "Dissimilarity index",
        "Distance to the nearest training sample in covariate space over the mean distance between training"
        " samples (Meyer & Pebesma 2021). No value where a class is one training did not see.",
        "1",
        _DI_SCALE,
        "quality",
    )
    density = _value(
        "lpd",
        "Local point density",
        "Number of training samples within the threshold of dissimilarity (Schumacher et al. 2025): 0 outside the area"
        " of applicability, few where it rests on few. No value where a class is one training did not see.",
        "1",
        1.0,
        "quality",
    )
    return inside, index, density


def subject(prop: SoilProperty, depth: Depth | None) -> str:
    """``Soil organic carbon at 0-20 cm``."""
    return prop.title if depth is None else f"{prop.title} at {depth.upper_cm:g}-{depth.lower_cm:g} cm"


def predict_block(
    model: SoilModel, covariates: NDArray[np.float32], depth: Depth | None = None, *, threads: int = 2
) -> dict[str, Stored]:
    """Stored integers, (rows, columns), of every layer by property, for covariates (f, rows, columns).

    The covariates stand in the model's order; ``depth`` is one of the model's, its only one when None; all properties
    of the model are predicted from one walk through its trees. A cell with a missing covariate has no data in any
    layer and costs nothing. A class that training did not see puts the cell outside the area of applicability, without
    a dissimilarity; the forest still answers from the other covariates. q05 <= q50 <= q95 holds in the integers, and
    pi90 = q95 - q05 exactly.

    Raises:
        NotFound: when the model is not for the depth.
    """
    interval = model.interval(depth)
    count, rows, cols = covariates.shape
    cells = covariates.reshape(count, -1).T
    known = ~np.isnan(cells).any(axis=1)
    predicted = _predict_cells(model, cells[known], interval, threads) if known.any() else {}
    blocks: dict[str, Stored] = {}
    for code in model.description.codes:
        stored = {}
        for name, layer in map_layers(model, code, interval).items():
            values = np.full(known.size, layer.nodata, dtype=layer.dtype)
            if predicted:
                values[known] = predicted[code][name]
            stored[name] = values.reshape(rows, cols)
        blocks[code] = stored
    return blocks


def map_layers(model: SoilModel, code: str | None, depth: Depth | None) -> dict[str, Layer]:
    """The layers of a map of a property that ``model`` reports."""
    output = model.output(code)
    return soil_map_layers(output.soil_property.to_property(), depth, calibrated=output.calibrated)


def soil_map_bands(prop: SoilProperty, depth: Depth | None, *, calibrated: bool = False) -> Layer:
    """The layers of a soil map as the bands of one file, int16 throughout: the applicability too, nodata included."""
    bands = tuple(
        Band(name=layer.name, description=layer.title, unit=layer.bands[0].unit, scale=layer.scale)
        for layer in soil_map_layers(prop, depth, calibrated=calibrated).values()
    )
    return Layer(
        name="map",
        title=subject(prop, depth),
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
    if values.dtype == np.uint8:
        return np.where(values == AOA_NODATA, np.int16(layer.nodata), values.astype(layer.dtype))
    return np.where(values == MAP_NODATA, layer.nodata, values).astype(layer.dtype)


def _predict_cells(
    model: SoilModel, cells: NDArray[np.float32], depth: Depth | None, threads: int
) -> dict[str, Stored]:
    """Stored integers (m,) of each layer by property, for cells (m, f) without gaps."""
    features, unseen = model.features(cells, depth)
    predictions = model.forest.predict_all(features, _levels(model), threads=threads)
    index, density = model.applicability.dissimilarity_and_density(features, threads=threads)
    index = np.where(unseen, np.nan, index)
    near = np.where(unseen, MAP_NODATA, np.minimum(density, _LARGEST)).astype(np.int16)
    inside = (model.applicability.inside(index) & ~unseen).astype(np.uint8)
    strata = model.strata(cells)
    found: dict[str, Stored] = {}
    for position, prediction in enumerate(predictions):
        stored = _stored(model, position, depth, prediction, index, strata)
        found[model.description.codes[position]] = stored | {"aoa": inside, "lpd": near}
    return found


def _stored(
    model: SoilModel,
    position: int,
    depth: Depth | None,
    prediction: Prediction,
    index: NDArray[np.floating],
    strata: NDArray[np.int64] | None,
) -> dict[str, NDArray[np.integer]]:
    output, calibration = model.description.outputs[position], model.calibrations[position]
    layers = map_layers(model, output.code, depth)
    levels = _levels(model)
    low, mid, high = (prediction.quantiles[levels.index(level)] for level in QUANTILES)
    values = {"mean": prediction.mean, "q05": low, "q50": mid, "q95": high, "di": index}
    if calibration is not None:
        values |= {"q05-raw": low, "q95-raw": high}
        start, middle, end = (prediction.quantiles[levels.index(level)] for level in calibration.quantiles)
        values["q05"], values["q95"] = calibrated(output, calibration, start, middle, end, strata)
    stored = {name: encode(each, layers[name]) for name, each in values.items()}
    width = stored["q95"].astype(np.int32) - stored["q05"]
    stored["pi90"] = np.minimum(width, _LARGEST).astype(np.int16)
    median = np.where(stored["q50"] == 0, np.nan, stored["q50"])
    stored["uncertainty"] = encode(width / median, layers["uncertainty"])
    return stored


def _levels(model: SoilModel) -> tuple[float, ...]:
    """Levels of all quantiles that the maps of a model need."""
    starts = (level for each in model.calibrations if each is not None for level in each.quantiles)
    return tuple(dict.fromkeys((*QUANTILES, *starts)))


def calibrated(
    output: OutputDescription,
    calibration: Calibration,
    lower: NDArray[np.float64],
    median: NDArray[np.float64],
    upper: NDArray[np.float64],
    strata: NDArray[np.int64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Calibrated bounds (m,) of an interval of the output's level, (m,), within what the property can be.

    The offsets apply on the scale of the output's transform; on the logarithm they are factors.
    """
    scale = output.transform
    low, high = calibration.apply(scale.apply(lower), scale.apply(median), scale.apply(upper), strata)
    return bounds(scale, output.soil_property.valid_range, low, median, high)


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
