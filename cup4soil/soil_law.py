"""Target values of the European Soil Monitoring Law: data that a reader can hold against the Official Journal."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cup4soil.errors import NotFound
from cup4soil.products import Frozen


class Criterion(Frozen):
    """One target value: ``property`` has to stand in ``relation`` to a limit, or to that of its USDA texture class.

    ``verified``: whether the limits were compared with the directive's text; ``remark`` says more.
    """

    code: str
    descriptor: str
    property: str
    relation: Literal["<", ">"]
    unit: str
    limit: float | None = None
    limits: Mapping[str, float] = Field(default_factory=dict)
    verified: bool
    remark: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> "Criterion":
        if (self.limit is None) == (not self.limits):
            raise ValueError("give either a limit or limits by texture")
        return self

    def met(self, values: NDArray[np.float64], limits: NDArray[np.float64] | float) -> NDArray[np.bool_]:
        """Where ``values`` stand as wanted to ``limits``; False where one is missing."""
        return np.asarray(values < limits if self.relation == "<" else values > limits)


class SoilLaw(Frozen):
    """The criteria of one law."""

    id: str
    title: str
    source: str
    in_force: str
    note: str
    criteria: tuple[Criterion, ...]

    def criterion(self, code: str) -> Criterion:
        """The criterion of this code.

        Raises:
            NotFound: when there is none.
        """
        for each in self.criteria:
            if each.code == code:
                return each
        raise NotFound(f"{self.id} has no criterion {code!r}", f"use one of {', '.join(c.code for c in self.criteria)}")


@cache
def soil_monitoring_law() -> SoilLaw:
    """Directive (EU) 2025/2360, Annex I, part A."""
    text = files("cup4soil").joinpath("data", "soil-monitoring-law.json").read_text(encoding="utf-8")
    return SoilLaw.model_validate(json.loads(text))
