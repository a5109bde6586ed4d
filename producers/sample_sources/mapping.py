"""A mapping file says what stands where in a table: columns, units, conversions, constants, terms."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml  # type: ignore[import-untyped]
from pydantic import Field, ValidationError, field_validator, model_validator

from cup4soil.depths import Depth
from cup4soil.errors import Cup4soilError, InvalidInput, NotFound, reading
from cup4soil.grids import parse_crs
from cup4soil.products import Frozen, Period, file_checksum, first_problem
from cup4soil.properties import soil_property
from producers.composite_request import utc_day
from producers.sample_sources.source import PropertyColumn

MAX_MAPPING_BYTES = 1 << 18
_NOTHING = np.zeros(1)
_CENTIMETRES = {"mm": 0.1, "cm": 1.0, "dm": 10.0, "m": 100.0, "inch": 2.54}


class SampleMapping(Frozen):
    """What a mapping file may say. ``depth`` is a constant, for samples without columns of depths.

    ``missing`` are words or numbers that stand for a missing value, ``below`` words for one below the limit of
    detection; ``below_detection`` "half" puts half the limit in its place.
    """

    title: str | None = None
    layer: str | None = None
    crs: str | None = None
    x: str | None = None
    y: str | None = None
    id: str | None = None
    upper: str | None = None
    lower: str | None = None
    depth: str | None = None
    depth_unit: Literal["mm", "cm", "dm", "m", "inch"] = "cm"
    properties: Mapping[str, PropertyColumn] = Field(min_length=1)
    texture: tuple[str, str, str] | None = None
    missing: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    below_detection: Literal["exclude", "half"] = "exclude"
    licence: str | None = None
    attribution: str | None = None
    sampled: str | None = None

    @field_validator("missing", "below", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        """YAML reads -9999 as a number."""
        return [str(each) for each in given] if isinstance(given, list | tuple) else given

    @field_validator("crs", "sampled", mode="before")
    @classmethod
    def _one_text(cls, given: Any) -> Any:
        """YAML reads 2018-04-01 as a day, 31467 as a number."""
        return given if given is None else str(given)

    @model_validator(mode="after")
    def _check(self) -> "SampleMapping":
        for code, column in self.properties.items():
            soil_property(code).to_unit(_NOTHING, column.unit)
        if (self.x is None) != (self.y is None):
            raise InvalidInput("only one of x and y is named", "name both, or none for a file of points")
        if (self.upper is None) != (self.lower is None):
            raise InvalidInput("only one of upper and lower is named", "name both or none")
        if self.crs is not None:
            parse_crs(self.crs)
        _ = self.interval, self.period
        return self

    @property
    def interval(self) -> Depth | None:
        """The depth that is constant, or asked for by default."""
        return None if self.depth is None else Depth.parse(self.depth)

    @property
    def to_cm(self) -> float:
        """What a depth of the columns is multiplied by."""
        return _CENTIMETRES[self.depth_unit]

    @property
    def period(self) -> Period | None:
        """When the samples were taken: ``2018-04-01/2018-10-31``."""
        if self.sampled is None:
            return None
        first, separator, last = self.sampled.partition("/")
        start, end = utc_day(first), utc_day(last if separator else first, end=True)
        if start > end:
            raise InvalidInput(f"sampled {self.sampled!r} ends before it starts", "swap the two days")
        return Period(start=start, end=end)


def read_mapping(path: Path) -> tuple[SampleMapping, str]:
    """The mapping in a YAML or JSON file, and the file's checksum. Nothing in it is executed or fetched.

    Raises:
        NotFound: when there is no such file.
        InvalidInput: when it says what no mapping can say; the message names the entry.
    """
    with reading(path):
        if not path.is_file():
            raise NotFound(f"no mapping at {path}", "give the path of a YAML or JSON file")
        if path.stat().st_size > MAX_MAPPING_BYTES:
            raise InvalidInput(
                f"{path} is larger than {MAX_MAPPING_BYTES >> 10} KiB", "give a mapping, not the samples"
            )
        text = path.read_bytes()
    try:
        said = _parsed(path, text.decode("utf-8"))
        return SampleMapping.model_validate(said), file_checksum(path)
    except ValidationError as error:
        raise InvalidInput(f"{path.name}: {first_problem(error)}", "see docs/samples.md") from error
    except (UnicodeDecodeError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{path.name} is no YAML or JSON: {error}", "mend it") from error
    except Cup4soilError as error:
        raise InvalidInput(f"{path.name}: {error.problem}", error.hint) from error


def _parsed(path: Path, text: str) -> Any:
    if path.suffix.lower() == ".json":
        return json.loads(text)
    # Anchors let a few bytes stand for very much.
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
        raise InvalidInput("it repeats a part of itself with an anchor", "write the part out")
    return yaml.safe_load(text)
