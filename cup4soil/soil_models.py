"""A soil model as it lies in a folder: ``model.npz`` the arrays, ``model.json`` what they mean.

Nothing in it is code: arrays are read without pickle, and every index is checked before it is used.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from cup4soil.depths import Depth
from cup4soil.errors import Cup4soilError, InvalidInput, NotFound, reading
from cup4soil.methods.applicability import Applicability
from cup4soil.methods.features import Encoding
from cup4soil.methods.forest import QuantileForest
from cup4soil.products import Frozen, ProductRecord, Source, file_checksum, first_problem, read_record
from cup4soil.properties import SoilProperty

ARRAYS_FILE = "model.npz"
DESCRIPTION_FILE = "model.json"
FORMAT_VERSION: Final = 1
# A limitation of models, which a map with a time of its own does not inherit.
UNDATED = "Neither samples nor covariates state when they are from; the period given is the time of training."
# Europe-wide models stay far below; what is larger is damaged or meant to exhaust memory.
MAX_ARRAYS_BYTES = 8 * 2**30
_FOREST, _APPLICABILITY = "forest.", "applicability."


class PropertyDescription(Frozen):
    """A :class:`SoilProperty` as it was when the model was trained."""

    code: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    unit: str
    stored_unit: str
    factor: int = Field(ge=1)
    valid_range: tuple[float, float]
    conversions: Mapping[str, float]
    terms: tuple[str, ...]
    ratio_scale: bool
    description: str

    @classmethod
    def of(cls, prop: SoilProperty) -> Self:
        """Describe ``prop``."""
        names = tuple(cls.model_fields)
        return cls.model_validate(
            {name: getattr(prop, name) for name in names} | {"conversions": dict(prop.conversions)}
        )

    def to_property(self) -> SoilProperty:
        """The property described."""
        return SoilProperty(**{name: getattr(self, name) for name in type(self).model_fields})


class Transform(Frozen):
    """Scale on which the trees are grown: the values themselves, or ln(max(value, ``floor``))."""

    name: Literal["identity", "ln"]
    floor: float | None = None

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.name == "ln" and not (self.floor is not None and self.floor > 0):
            raise ValueError("ln needs a positive floor")
        return self

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values on the scale modelled."""
        if self.name == "identity":
            return values
        return np.asarray(np.log(np.maximum(values, self.floor or 0.0)), dtype=np.float64)


class ModelDescription(Frozen):
    """What the arrays of a model mean. ``features`` are those of the forest, in order."""

    format_version: Literal[1] = FORMAT_VERSION
    id: str
    soil_property: PropertyDescription
    depth_cm: tuple[float, float] | None
    unit_of_samples: str
    transform: Transform
    covariates: tuple[str, ...] = Field(min_length=1)
    levels: Mapping[str, tuple[float, ...]]
    features: tuple[str, ...]
    crs: str
    sources: tuple[Source, ...]
    quantile_levels: tuple[float, ...]
    applicability_threshold: float
    samples: int
    software: Mapping[str, str]
    arrays_checksum: str

    @property
    def depth(self) -> Depth | None:
        """Depth interval the model is for, None when its samples state none."""
        return None if self.depth_cm is None else Depth(*self.depth_cm)

    @property
    def encoding(self) -> Encoding:
        """How covariates become features."""
        return Encoding(self.covariates, self.levels)


@dataclass(frozen=True)
class SoilModel:
    """A trained model with its record, ready to predict."""

    record: ProductRecord
    description: ModelDescription
    forest: QuantileForest
    applicability: Applicability

    @property
    def soil_property(self) -> SoilProperty:
        """What the model predicts."""
        return self.description.soil_property.to_property()

    @property
    def collection(self) -> str:
        """Collection of the model's maps: ``soc-0-20cm``, or the code alone without a depth."""
        return collection_name(self.description.soil_property.code, self.description.depth)


def collection_name(code: str, depth: Depth | None) -> str:
    """Collection of the maps of a property at a depth: ``soc-0-20cm``, or ``soc`` without a depth."""
    return code if depth is None else f"{code}-{depth}"


def save_arrays(folder: Path, forest: QuantileForest, applicability: Applicability) -> str:
    """Write ``model.npz`` and return its checksum; equal models give equal bytes."""
    arrays = {_FOREST + name: array for name, array in forest.to_arrays().items()}
    arrays |= {_APPLICABILITY + name: array for name, array in applicability.to_arrays().items()}
    path = folder / ARRAYS_FILE
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return file_checksum(path)


def save_description(folder: Path, description: ModelDescription) -> None:
    """Write ``model.json``."""
    text = description.model_dump_json(indent=1) + "\n"
    (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def load_model(folder: Path) -> SoilModel:
    """Read and check the model in ``folder``.

    Raises:
        NotFound: when there is none.
        InvalidInput: when it is damaged, of another format, or its parts contradict each other.
    """
    for name in (DESCRIPTION_FILE, ARRAYS_FILE):
        with reading(folder / name):
            found = (folder / name).is_file()
        if not found:
            raise NotFound(f"no model in {folder}: {name} is missing", "give the folder that training wrote")
    description = _read_description(folder / DESCRIPTION_FILE)
    if file_checksum(folder / ARRAYS_FILE) != description.arrays_checksum:
        raise _damaged(folder / ARRAYS_FILE, f"it is not the file that {DESCRIPTION_FILE} describes")
    forest, applicability = _read_parts(folder / ARRAYS_FILE)
    model = SoilModel(_read_record(folder), description, forest, applicability)
    _check(model, folder)
    return model


def _read_description(path: Path) -> ModelDescription:
    with reading(path):
        content = path.read_bytes()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise InvalidInput(
            f"{path} has format version {version!r}", f"this version reads {FORMAT_VERSION}; train again"
        )
    try:
        return ModelDescription.model_validate_json(content)
    except ValidationError as error:
        raise _damaged(path, first_problem(error)) from error


def _read_parts(path: Path) -> tuple[QuantileForest, Applicability]:
    arrays = _read_arrays(path)
    try:
        return (
            QuantileForest.from_arrays(_part(arrays, _FOREST)),
            Applicability.from_arrays(_part(arrays, _APPLICABILITY)),
        )
    except InvalidInput as error:
        raise _damaged(path, error.problem) from error


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_ARRAYS_BYTES:
                raise InvalidInput(f"{path} unpacks to more than {MAX_ARRAYS_BYTES} bytes", "train the model again")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        MemoryError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _damaged(path, str(error)) from error


def _read_record(folder: Path) -> ProductRecord:
    try:
        return read_record(folder)
    except Cup4soilError as error:
        raise InvalidInput(error.problem, error.hint) from error


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check(model: SoilModel, folder: Path) -> None:
    description = model.description
    if description.id != model.record.id:
        raise _damaged(folder, f"it holds {description.id} under the record of {model.record.id}")
    if description.features != description.encoding.features or set(description.levels) - set(description.covariates):
        raise _damaged(folder / DESCRIPTION_FILE, "its features do not follow from its covariates")
    count = len(description.features)
    if model.forest.importance.size != count or model.applicability.weights.size != count:
        raise _damaged(folder, f"its arrays are not for {count} features")
    stated, found = description.applicability_threshold, model.applicability.threshold
    # It follows from the arrays by arithmetic that may round otherwise on another machine.
    if not math.isclose(stated, found, rel_tol=1e-6):
        raise _damaged(folder, f"{DESCRIPTION_FILE} states the threshold {stated:g} where the arrays give {found:g}")


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} is damaged: {why}", "train the model again")
