"""What the features of a store have for properties, and which they can be searched and sorted by."""

from typing import Any, Final

from stac_catalog.sites import SAMPLES, SITES

type Json = dict[str, Any]

_NUMBER: Final[Json] = {"type": "number"}
_TEXT: Final[Json] = {"type": "string"}
_SWITCH: Final[Json] = {"type": "boolean"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_OBSERVED: Final[dict[str, Json]] = {
    "property": _TEXT | {"title": "Code of the soil property"},
    "unit": _TEXT | {"title": "Unit of all values"},
    "observed": _NUMBER | {"title": "Measured value"},
}
_PREDICTED: Final[dict[str, Json]] = {
    "predicted": _NUMBER | {"title": "Mean predicted by the model without having seen the sample"},
    "q05": _NUMBER | {"title": "Lower end of the 90 % interval of the prediction"},
    "q95": _NUMBER | {"title": "Upper end of the 90 % interval of the prediction"},
    "error": _NUMBER | {"title": "Predicted minus measured"},
    "inside_interval": _SWITCH | {"title": "Whether the measured value lies within the interval"},
    "interval": _TEXT | {"title": "How the interval was made"},
    "fold": {"type": "integer", "title": "Fold in which the sample was held out"},
    "validation": _TEXT | {"title": "How samples were held out"},
    "di": _NUMBER | {"title": "Dissimilarity index of the sample to those of other folds"},
    "inside_aoa": _SWITCH | {"title": "Whether the model is applicable there"},
    "model": _TEXT | {"title": "Id of the model"},
    "simulated": _SWITCH | {"title": "Whether covariates were simulated"},
}
_PLACE: Final[dict[str, Json]] = {
    "sample": _TEXT | {"title": "Name of the sample in its table; none where places are rounded"},
    "depth": _TEXT | {"title": "Depth interval, such as 0-20cm"},
    "upper_cm": _NUMBER | {"title": "Upper depth (cm)"},
    "lower_cm": _NUMBER | {"title": "Lower depth (cm)"},
    "position": _TEXT | {"title": "How exact the place is"},
    "start_datetime": _TIME | {"title": "Begin of sampling"},
    "end_datetime": _TIME | {"title": "End of sampling"},
}
_TERMS: Final[dict[str, Json]] = {
    "source": _TEXT | {"title": "Table of samples"},
    "licence": _TEXT | {"title": "Licence (SPDX)"},
    "attribution": _TEXT | {"title": "Whom to credit"},
}
PROPERTIES: Final[dict[str, dict[str, Json]]] = {
    SITES: _OBSERVED
    | _PREDICTED
    | _PLACE
    | _TERMS
    | {"source_licence": _TEXT | {"title": "Licence (SPDX) of the samples"}},
    SAMPLES: _OBSERVED | _PLACE | _TERMS,
}
# What a client gets with some properties, asked for or not: no value without its unit, no prediction without its
# interval and applicability, nothing without its terms.
_ALWAYS: Final = ("property", "unit", "depth", "licence")
_WITH_PREDICTION: Final = ("q05", "q95", "inside_aoa", "model")
_PREDICTIONS: Final = frozenset({"predicted", "error", "q05", "q95"})
_UNSEARCHED: Final = frozenset({"attribution", "validation"})
_GEOMETRY: Final[Json] = {"format": "geometry-point", "x-ogc-role": "primary-geometry"}
_ROLES: Final = {"start_datetime": "primary-interval-start", "end_datetime": "primary-interval-end"}


def searched(collection: str) -> dict[str, Json]:
    """The properties that features of a collection can be searched and sorted by."""
    return {name: each for name, each in PROPERTIES[collection].items() if name not in _UNSEARCHED}


def companions(names: tuple[str, ...]) -> tuple[str, ...]:
    """``names`` and the properties that these must not be without."""
    told = _WITH_PREDICTION if _PREDICTIONS & set(names) else ()
    return tuple(dict.fromkeys((*names, *_ALWAYS, *told)))


def schema(collection: str, address: str) -> Json:
    """The schema of the features, which stands at ``address``."""
    own = {
        name: each | ({"x-ogc-role": _ROLES[name]} if name in _ROLES else {}) | {"x-ogc-propertySeq": number}
        for number, (name, each) in enumerate(PROPERTIES[collection].items(), 1)
    }
    return _document(address, "Schema", {"id": _TEXT | {"x-ogc-role": "id"}, "geometry": _GEOMETRY} | own)


def queryables(collection: str, address: str) -> Json:
    """The properties that filters may name; others are refused."""
    own = {"id": _TEXT | {"x-ogc-role": "id"}, "geometry": _GEOMETRY} | searched(collection)
    return _document(address, "Queryables", own) | {"additionalProperties": False}


def sortables(collection: str, address: str) -> Json:
    """The properties that features may be sorted by."""
    return _document(address, "Sortables", {"id": _TEXT} | searched(collection)) | {"additionalProperties": False}


def _document(address: str, title: str, properties: Json) -> Json:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        "type": "object",
        "title": title,
        "properties": properties,
    }
