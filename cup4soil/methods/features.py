"""From covariates to the features a forest sees: classes become one column for each level."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples

MAX_LEVELS = 100


@dataclass(frozen=True, slots=True)
class Encoding:
    """Covariates in their order, and the levels that training saw of those that are classes.

    A class becomes one feature for each level, 1 where the level is present and 0 elsewhere. A level
    training did not see gives 0 in all of them: the forest can still answer from the other covariates,
    but the cell is no longer like any training sample, which ``unseen`` tells.
    """

    covariates: tuple[str, ...]
    levels: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(cls, covariates: Sequence[str], categorical: Collection[str], values: NDArray[np.floating]) -> Self:
        """Take the levels from training values, (n, f); those named ``categorical`` are classes.

        Raises:
            InvalidSamples: when a class has more levels than 100, or than half the samples: then it is none.
        """
        levels: dict[str, tuple[float, ...]] = {}
        for index, name in enumerate(covariates):
            if name not in categorical:
                continue
            found = np.unique(values[:, index])
            if found.size > min(MAX_LEVELS, max(2, values.shape[0] // 2)):
                raise InvalidSamples(
                    f"{name} has {found.size} classes in {values.shape[0]} samples",
                    "name it categorical only if it holds classes",
                )
            levels[name] = tuple(float(level) for level in found)
        return cls(tuple(covariates), levels)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, ``name`` or ``name=level``."""
        names = []
        for name in self.covariates:
            names += [f"{name}={level:g}" for level in self.levels[name]] if name in self.levels else [name]
        return tuple(names)

    def encode(self, values: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Features (n, F) of covariates (n, f) without gaps, and where a class is one training did not see, (n,)."""
        columns: list[NDArray[np.floating]] = []
        unseen = np.zeros(values.shape[0], dtype=bool)
        for index, name in enumerate(self.covariates):
            column = values[:, index]
            if name not in self.levels:
                columns.append(column)
                continue
            present = [column == np.float32(level) for level in self.levels[name]]
            unseen |= ~np.logical_or.reduce(present)
            columns += [each.astype(np.float32) for each in present]
        return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32), unseen
