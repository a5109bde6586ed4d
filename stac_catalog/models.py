"""What STAC's machine-learning extension (mlm 1.4) asks of a model, as far as its record and description know it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pystac

from cup4soil.errors import InvalidInput
from cup4soil.products import Document, ProductRecord
from stac_catalog.lineage import of_role

_ROLE = "model"
_MLM_ROLE = "mlm:model"
_DESCRIPTION = "description"
_ARTIFACTS = {".npz": "numpy.savez"}
_HYPERPARAMETER = re.compile(r"[0-9a-zA-Z_.-]+")
# The framework's version has to be one of semantic versioning.
_SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_MOST_DESCRIPTION_BYTES = 16 * 2**20
# Mean of the predictive distribution beside its quantiles.
_MEAN = 1
# What a covariate's entry says of it.
_OF_COVARIATE = ("name", "unit", "kind", "crs", "formula")
_OF_SAMPLES = ("id", "title", "checksum", "licence", "attribution")


def describe_model(item: pystac.Item, record: ProductRecord, folder: Path) -> None:
    """Add the fields of the extension to the item of a model; to no other, and not without the model's file.

    What the arrays mean is read from the document ``description`` in ``folder``; what it lacks stays unsaid.

    Raises:
        InvalidInput: when that document is damaged.
    """
    artifact = _artifact(record)
    if record.kind != "model" or artifact is None:
        return
    about = _description(record, folder)
    item.properties.update(_item_fields(record, about))
    item.properties["processing:software"] = _software(about) | item.properties["processing:software"]
    asset = item.assets[artifact.name]
    asset.roles = list(dict.fromkeys((*artifact.roles, _MLM_ROLE)))
    asset.extra_fields["mlm:artifact_type"] = _ARTIFACTS.get(PurePosixPath(artifact.file).suffix, artifact.media_type)


def _artifact(record: ProductRecord) -> Document | None:
    """The file of the model: the first document of that role."""
    return next((each for each in record.documents if {_ROLE, _MLM_ROLE} & set(each.roles)), None)


def _description(record: ProductRecord, folder: Path) -> Mapping[str, Any]:
    """What the model's own document says; empty where it has none."""
    named = next((each for each in record.documents if each.name == _DESCRIPTION), None)
    if named is None:
        return {}
    path = folder / named.file
    if path.stat().st_size > _MOST_DESCRIPTION_BYTES:
        raise InvalidInput(f"{named.file} of {record.id} has {path.stat().st_size} bytes", "train the model again")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{named.file} of {record.id} is damaged: {error}", "train the model again") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{named.file} of {record.id} describes no model", "train the model again")
    return document


def _item_fields(record: ProductRecord, about: Mapping[str, Any]) -> dict[str, Any]:
    parameters = record.algorithm.model_dump(mode="json")["parameters"]
    fields: dict[str, Any] = {
        "mlm:name": record.id if record.id[0].isalpha() else f"model-{record.id}",
        "mlm:architecture": record.algorithm.title,
        "mlm:tasks": ["regression"],
        "mlm:pretrained": False,
        "mlm:pretrained_source": None,
        "mlm:accelerator": None,
        "mlm:input": [_input(parameters, about)],
        "mlm:output": _outputs(record, about),
    }
    version = _mapping(about.get("software")).get("scikit-learn")
    if isinstance(version, str):
        fields["mlm:framework"] = "scikit-learn"
        if _SEMANTIC.fullmatch(version):
            fields["mlm:framework_version"] = version
    known = {name: value for name, value in parameters.items() if _is_hyperparameter(name, value)}
    training = [_training_data(source.model_dump(mode="json")) for source in of_role(record, "samples")]
    fields |= {"mlm:hyperparameters": known} if known else {}
    return fields | ({"cup4soil:training_data": training} if training else {})


def _is_hyperparameter(name: str, value: object) -> bool:
    """Numbers and switches are; names of columns and the like are not."""
    return isinstance(value, int | float) and _HYPERPARAMETER.fullmatch(name) is not None


def _training_data(source: Mapping[str, Any]) -> dict[str, Any]:
    """A table of samples: which, under what terms, and how many of its rows were used."""
    stated = {name: source[name] for name in _OF_SAMPLES if source.get(name)}
    return stated | {name: value for name, value in source["properties"].items() if isinstance(value, int)}


def _input(parameters: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The vector of covariates. Their names, units and kinds are in a field of our own: the extension's bands belong
    to one image, and covariates come from many rasters.
    """
    covariates = _covariates(parameters, about)
    return {
        "name": "covariates",
        "description": "Covariates of each cell, in the order in which the model takes them.",
        "bands": [],
        "input": {"shape": [-1, len(covariates) or -1], "dim_order": ["batch", "channel"], "data_type": "float32"},
        "cup4soil:covariates": covariates,
    }


def _covariates(parameters: Mapping[str, Any], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    signature = about.get("signature")
    if isinstance(signature, list) and signature and all(isinstance(each, dict) for each in signature):
        return [{name: each[name] for name in _OF_COVARIATE if each.get(name) is not None} for each in signature]
    candidates = (about.get("covariates"), parameters.get("covariates"), parameters.get("features"))
    names = next((each for each in candidates if isinstance(each, list) and each), [])
    levels = _mapping(about.get("levels"))
    return [{"name": str(name)} | ({"kind": "classes"} if name in levels else {}) for name in names]


def _outputs(record: ProductRecord, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    stated = about.get("outputs", [about] if "soil_property" in about else [])
    properties = [
        _mapping(_mapping(each).get("soil_property")) for each in (stated if isinstance(stated, list) else [])
    ]
    levels = about.get("quantile_levels")
    quantiles = [float(level) for level in levels] if isinstance(levels, list) else []
    named = [(str(each["code"]), str(each.get("unit", "1"))) for each in properties if each.get("code")]
    return [_output(code, record.depth, unit, quantiles) for code, unit in named] or [
        _output(record.property_code, record.depth, None, quantiles)
    ]


def _output(code: str | None, depth: str | None, unit: str | None, quantiles: list[float]) -> dict[str, Any]:
    what = " ".join(part for part in (code, depth) if part)
    layers = len(quantiles) + _MEAN if quantiles else -1
    described = f"Mean and quantiles{_told(quantiles)} of the predictive distribution"
    output: dict[str, Any] = {
        "name": what or "target",
        "description": f"{described}, in {unit}." if unit else f"{described}.",
        "tasks": ["regression"],
        "result": {"shape": [-1, layers], "dim_order": ["batch", "channel"], "data_type": "float32"},
    }
    facts = {"cup4soil:property": code, "cup4soil:unit": unit, "cup4soil:quantiles": quantiles or None}
    return output | {name: value for name, value in facts.items() if value is not None}


def _told(quantiles: list[float]) -> str:
    return f" ({', '.join(f'{level:g}' for level in quantiles)})" if quantiles else ""


def _software(about: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(version) for name, version in _mapping(about.get("software")).items()}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
