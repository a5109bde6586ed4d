"""A soil model as it lies in a folder: ``model.npz`` the arrays, ``model.json`` what they mean.

Nothing in it is code: arrays are read without pickle, and every index is checked before it is used.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from cup4soil.depths import Depth
from cup4soil.errors import Cup4soilError, InvalidInput, NotFound, reading
from cup4soil.methods.applicability import Applicability
from cup4soil.methods.conformal import Calibration
from cup4soil.methods.features import Encoding
from cup4soil.methods.forest import QuantileForest
from cup4soil.methods.stored import require, stored_array
from cup4soil.products import Frozen, ProductRecord, Source, file_checksum, first_problem, read_record
from cup4soil.rasters.covariate_signature import CovariateSignature
from cup4soil.soil_outputs import OutputDescription

ARRAYS_FILE = "model.npz"
DESCRIPTION_FILE = "model.json"
FORMAT_VERSION: Final = 3
# A limitation of models, which a map with a time of its own does not inherit.
UNDATED = "Neither samples nor covariates state when they are from; the period given is the time of training."
# Europe-wide models stay far below; what is larger is damaged or meant to exhaust memory.
MAX_ARRAYS_BYTES = 8 * 2**30
_FOREST, _APPLICABILITY, _ROWS = "forest.", "applicability.", "rows."
# The feature that follows those of the covariates in a model of several depths: the middle of the interval (cm).
DEPTH_FEATURE = "depth_mid"

type Group = Literal["single", "texture", "joint"]


class ModelDescription(Frozen):
    """What the arrays of a model mean. ``features`` are those of the forest, in order.

    ``outputs`` are the columns that the forest reports. ``group`` tells what its trees were grown on: the one
    property, a texture's log-ratios, or several properties together. A model is for one interval, ``depth_cm`` (None
    where its samples state none), or has depth as a feature and was trained for ``depths_cm``. ``stratum`` names the
    covariate by whose classes intervals are calibrated. ``limitations`` hold for the maps of all outputs. ``signature``
    is what covariates have to be held against, empty where the model has learnt from columns of a table.
    """

    format_version: Literal[3] = FORMAT_VERSION
    id: str
    group: Group
    outputs: tuple[OutputDescription, ...] = Field(min_length=1)
    depth_cm: tuple[float, float] | None
    depths_cm: tuple[tuple[float, float], ...] = ()
    form: Literal["all", "one"] = "all"
    covariates: tuple[str, ...] = Field(min_length=1)
    levels: Mapping[str, tuple[float, ...]]
    features: tuple[str, ...]
    stratum: str | None = None
    signature: tuple[CovariateSignature, ...] = ()
    crs: str
    sources: tuple[Source, ...]
    quantile_levels: tuple[float, ...]
    applicability_threshold: float
    samples: int
    limitations: tuple[str, ...] = ()
    software: Mapping[str, str]
    arrays_checksum: str

    @property
    def intervals(self) -> tuple[Depth | None, ...]:
        """Depth intervals that the model can map."""
        if self.depths_cm:
            return tuple(Depth(*each) for each in self.depths_cm)
        return (None if self.depth_cm is None else Depth(*self.depth_cm),)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the properties reported, in order."""
        return tuple(output.code for output in self.outputs)

    @property
    def encoding(self) -> Encoding:
        """How covariates become features."""
        return Encoding(self.covariates, self.levels)


@dataclass(frozen=True)
class TrainingRows:
    """What is kept of the n training rows beside their values, for validating what is derived of the model.

    ``features``: (n, F); ``folds``: (n,), the spatial ones of its validation; ``units``: (n,), what was held out as a
    whole (blocks, regions or profiles), by number.
    """

    features: NDArray[np.float32]
    folds: NDArray[np.int64]
    units: NDArray[np.int64]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {"features": self.features, "folds": self.folds, "units": self.units}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], rows: int, features: int) -> "TrainingRows":
        """Read back what :meth:`to_arrays` gave, from a source that need not be trusted.

        Raises:
            InvalidInput: when an array is missing, of another type or shape, or not finite.
        """
        table = stored_array(arrays, "features", np.float32, 2)
        folds, units = (stored_array(arrays, name, np.int64) for name in ("folds", "units"))
        require(table.shape == (rows, features), f"training features of shape {table.shape}")
        require(folds.size == units.size == rows, "folds or units are not of the training rows")
        require(np.isfinite(table).all(), "a training feature is not finite")
        require((folds >= 0).all() and np.unique(folds).size >= 2, "training rows are not in folds")
        return cls(table, folds, units)


@dataclass(frozen=True)
class SoilModel:
    """A trained model with its record, ready to predict. ``calibrations``: one for each output, None where raw."""

    record: ProductRecord
    description: ModelDescription
    forest: QuantileForest
    applicability: Applicability
    calibrations: tuple[Calibration | None, ...]
    rows: TrainingRows

    def position(self, code: str | None = None) -> int:
        """Place of a property among the outputs; without ``code`` that of the only one.

        Raises:
            NotFound: when the model does not report it, or reports several.
        """
        codes = self.description.codes
        if code is None and len(codes) == 1:
            return 0
        if code not in codes:
            problem = f"model {self.record.id} is of several properties" if code is None else f"no property {code!r}"
            raise NotFound(problem, f"name one of {', '.join(codes)}")
        return codes.index(code)

    def output(self, code: str | None = None) -> OutputDescription:
        """The output of a property; without ``code`` the only one.

        Raises:
            NotFound: as :meth:`position`.
        """
        return self.description.outputs[self.position(code)]

    def interval(self, depth: Depth | None = None) -> Depth | None:
        """``depth`` where the model is for it; without it the only interval.

        Raises:
            NotFound: when the model is not for that depth, or for several.
        """
        known = self.description.intervals
        if depth is None and len(known) == 1:
            return known[0]
        if depth not in known:
            problem = f"model {self.record.id} is of several depths" if depth is None else f"no depth {depth}"
            raise NotFound(problem, f"name one of {', '.join(str(each or 'none') for each in known)}")
        return depth

    def only(self, codes: Sequence[str]) -> "SoilModel":
        """The same model reporting these properties only.

        Raises:
            NotFound: when it does not report one.
        """
        chosen = [self.position(code) for code in codes]
        if chosen == list(range(len(self.description.outputs))):
            return self
        outputs = tuple(self.description.outputs[place] for place in chosen)
        return replace(
            self,
            description=self.description.model_copy(update={"outputs": outputs}),
            forest=self.forest.with_reported(self.forest.reported[:, chosen]),
            calibrations=tuple(self.calibrations[place] for place in chosen),
        )

    def features(
        self, cells: NDArray[np.floating], depth: Depth | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Features (m, F) of cells (m, f) without gaps at a depth, and where a class is unknown to training, (m,)."""
        features, unseen = self.description.encoding.encode(cells)
        if self.description.depths_cm and depth is not None:
            features = with_depth(features, np.full(features.shape[0], middle_cm(depth)))
        return features, unseen

    def strata(self, cells: NDArray[np.floating]) -> NDArray[np.int64] | None:
        """The class of each cell (m,) by which intervals are calibrated, None where there is no stratum."""
        name = self.description.stratum
        if name is None:
            return None
        return np.asarray(cells[:, self.description.covariates.index(name)], dtype=np.int64)


def middle_cm(depth: Depth) -> float:
    """Depth that stands for an interval in a model with depth as a feature."""
    return (depth.upper_cm + depth.lower_cm) / 2


def with_depth(features: NDArray[np.float32], middle: NDArray[np.float64]) -> NDArray[np.float32]:
    """Features (m, F) with the depth (cm), (m,), as the last column."""
    return np.ascontiguousarray(np.column_stack([features, middle.astype(np.float32)]), dtype=np.float32)


def collection_name(code: str, depth: Depth | None) -> str:
    """Collection of the maps of a property at a depth: ``soc-0-20cm``, or ``soc`` without a depth."""
    return code if depth is None else f"{code}-{depth}"


def save_arrays(
    folder: Path,
    forest: QuantileForest,
    applicability: Applicability,
    calibrations: Sequence[Calibration | None],
    rows: TrainingRows,
) -> str:
    """Write ``model.npz`` and return its checksum; equal models give equal bytes."""
    arrays = {_FOREST + name: array for name, array in forest.to_arrays().items()}
    arrays |= {_APPLICABILITY + name: array for name, array in applicability.to_arrays().items()}
    arrays |= {_ROWS + name: array for name, array in rows.to_arrays().items()}
    for position, calibration in enumerate(calibrations):
        if calibration is not None:
            arrays |= {_calibration(position) + name: array for name, array in calibration.to_arrays().items()}
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
    model = SoilModel(_read_record(folder), description, *_read_parts(folder / ARRAYS_FILE, description))
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
            f"{path} has format version {version!r}", f"this version reads {FORMAT_VERSION}; train the model again"
        )
    try:
        return ModelDescription.model_validate_json(content)
    except ValidationError as error:
        raise _damaged(path, first_problem(error)) from error


def _read_parts(
    path: Path, description: ModelDescription
) -> tuple[QuantileForest, Applicability, tuple[Calibration | None, ...], TrainingRows]:
    arrays = _read_arrays(path)
    try:
        calibrations = tuple(
            Calibration.from_arrays(_part(arrays, _calibration(position))) if output.calibrated else None
            for position, output in enumerate(description.outputs)
        )
        forest = QuantileForest.from_arrays(_part(arrays, _FOREST))
        return (
            forest,
            Applicability.from_arrays(_part(arrays, _APPLICABILITY)),
            calibrations,
            TrainingRows.from_arrays(_part(arrays, _ROWS), len(forest.target), forest.importance.size),
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
    _check_description(description, folder / DESCRIPTION_FILE)
    count = len(description.features)
    if model.forest.importance.size != count or model.applicability.weights.size != count:
        raise _damaged(folder, f"its arrays are not for {count} features")
    if model.forest.outputs != len(description.outputs):
        raise _damaged(folder, f"its forest reports {model.forest.outputs} columns, not {len(description.outputs)}")
    if model.forest.parameters.form != description.form:
        raise _damaged(folder, f"its forest is not of the form {description.form!r}")
    stated, found = description.applicability_threshold, model.applicability.threshold
    # It follows from the arrays by arithmetic that may round otherwise on another machine.
    if not math.isclose(stated, found, rel_tol=1e-6):
        raise _damaged(folder, f"{DESCRIPTION_FILE} states the threshold {stated:g} where the arrays give {found:g}")


def _check_description(description: ModelDescription, path: Path) -> None:
    expected = description.encoding.features + ((DEPTH_FEATURE,) if description.depths_cm else ())
    if description.features != expected or set(description.levels) - set(description.covariates):
        raise _damaged(path, "its features do not follow from its covariates")
    if description.signature and tuple(each.name for each in description.signature) != description.covariates:
        raise _damaged(path, "its signature is not of its covariates")
    if any(output.verdict is None for output in description.outputs):
        raise _damaged(path, "it does not say whether it has skill")
    if len(set(description.codes)) != len(description.codes):
        raise _damaged(path, "it reports a property twice")
    if description.depths_cm and description.depth_cm is not None:
        raise _damaged(path, "it is for one interval and for several at once")
    if description.stratum is not None and description.stratum not in description.levels:
        raise _damaged(path, f"its stratum {description.stratum!r} is none of its classes")
    for each in (*description.depths_cm, *([description.depth_cm] if description.depth_cm else [])):
        try:
            Depth(*each)
        except InvalidInput as error:
            raise _damaged(path, error.problem) from error


def _calibration(position: int) -> str:
    """Prefix of the arrays of an output's calibration."""
    return f"calibration{position}."


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} is damaged: {why}", "train the model again")
