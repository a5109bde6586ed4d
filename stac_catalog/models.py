"""What STAC's machine-learning extension (mlm 1.4) asks of a model, as far as the record knows it."""

import re
from pathlib import PurePosixPath
from typing import Any

import pystac

from cup4soil.products import Document, ProductRecord

_ROLE = "model"
_MLM_ROLE = "mlm:model"
_ARTIFACTS = {".npz": "numpy.savez"}
_HYPERPARAMETER = re.compile(r"[0-9a-zA-Z_.-]+")


def describe_model(item: pystac.Item, record: ProductRecord) -> None:
    """Add the fields of the extension to the item of a model; to no other, and not without the model's file."""
    artifact = _artifact(record)
    if record.kind != "model" or artifact is None:
        return
    item.properties.update(_item_fields(record))
    asset = item.assets[artifact.name]
    asset.roles = list(dict.fromkeys((*artifact.roles, _MLM_ROLE)))
    asset.extra_fields["mlm:artifact_type"] = _ARTIFACTS.get(PurePosixPath(artifact.file).suffix, artifact.media_type)


def _artifact(record: ProductRecord) -> Document | None:
    """The file of the model: the first document of that role."""
    return next((each for each in record.documents if {_ROLE, _MLM_ROLE} & set(each.roles)), None)


def _item_fields(record: ProductRecord) -> dict[str, Any]:
    parameters = record.algorithm.model_dump(mode="json")["parameters"]
    fields = {
        "mlm:name": record.id if record.id[0].isalpha() else f"model-{record.id}",
        "mlm:architecture": record.algorithm.title,
        "mlm:tasks": ["regression"],
        "mlm:pretrained": False,
        "mlm:pretrained_source": None,
        "mlm:accelerator": None,
        "mlm:input": [_input(parameters)],
        "mlm:output": [_output(record)],
    }
    known = {name: value for name, value in parameters.items() if _is_hyperparameter(name, value)}
    return fields | ({"mlm:hyperparameters": known} if known else {})


def _is_hyperparameter(name: str, value: object) -> bool:
    """Numbers and switches are; names of columns and the like are not."""
    return isinstance(value, int | float) and _HYPERPARAMETER.fullmatch(name) is not None


def _input(parameters: dict[str, Any]) -> dict[str, Any]:
    features = parameters.get("features")
    number = len(features) if isinstance(features, list) and features else -1
    return {
        "name": "covariates",
        "description": "Covariates of each cell, in the order in which the model names them.",
        # The extension's bands belong to one image; covariates come from many rasters.
        "bands": [],
        "input": {"shape": [-1, number], "dim_order": ["batch", "channel"], "data_type": "float32"},
    }


def _output(record: ProductRecord) -> dict[str, Any]:
    what = " ".join(part for part in (record.property_code, record.depth) if part)
    return {
        "name": what or "target",
        "description": "Mean and quantiles of the predictive distribution.",
        "tasks": ["regression"],
        "result": {"shape": [-1, -1], "dim_order": ["batch", "channel"], "data_type": "float32"},
    }
