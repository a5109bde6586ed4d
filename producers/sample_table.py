"""What a table of soil samples gives: values by property, and what became of every row."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cup4soil.errors import InvalidInput
from cup4soil.products import Frozen
from producers.sample_checks import REASONS, Exclusion


@dataclass(frozen=True, slots=True)
class SampleTable:
    """m samples of t properties: one for each profile, or one for each horizon.

    ``values`` (m, t) in the conventional unit of each property of ``codes``, ``features`` (m, f).
    ``rows`` names the rows of the table behind each sample, ``coverage`` the share of the depth interval they
    cover, ``groups`` what belongs together in every validation: equal names (the horizons of a profile), and equal
    locations. ``depths`` (m, 2), upper and lower in cm, is what each sample stands for; None where it is not known.
    """

    ids: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    features: NDArray[np.float64]
    coverage: NDArray[np.float64]
    codes: tuple[str, ...]
    depths: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def value(self) -> NDArray[np.float64]:
        """Values of the only property, (m,).

        Raises:
            InvalidInput: when there are several.
        """
        if len(self.codes) != 1:
            raise InvalidInput(f"samples of {', '.join(self.codes)} have no single value", "name one property")
        return self.values[:, 0]

    @property
    def depth_mid(self) -> NDArray[np.float64]:
        """Middle of the depth each sample stands for, cm, (m,).

        Raises:
            InvalidInput: when depths are not known.
        """
        return self._depths().mean(axis=1)

    @property
    def thickness(self) -> NDArray[np.float64]:
        """Thickness of what each sample stands for, cm, (m,).

        Raises:
            InvalidInput: when depths are not known.
        """
        depths = self._depths()
        return np.asarray(depths[:, 1] - depths[:, 0])

    def _depths(self) -> NDArray[np.float64]:
        if self.depths is None:
            raise InvalidInput("the samples have no depth", "name the columns of upper and lower depth, or a depth")
        return self.depths

    @property
    def groups(self) -> NDArray[np.int64]:
        """A number for each sample, (m,): the same for those joined by one name or one location, also over others."""
        names = np.unique(np.array(self.ids, dtype=str), return_inverse=True)[1].ravel()
        places = np.unique(np.column_stack([self.x, self.y]), axis=0, return_inverse=True)[1].ravel()
        nodes = 2 * len(self)
        links = coo_array((np.ones(len(self)), (names, len(self) + places)), shape=(nodes, nodes))
        return np.asarray(connected_components(links, directed=False)[1][names], dtype=np.int64)

    def take(self, chosen: NDArray[np.bool_]) -> "SampleTable":
        """The samples where ``chosen`` is True."""
        picked = np.flatnonzero(chosen)
        arrays = {
            each.name: getattr(self, each.name)[picked]
            for each in fields(self)
            if isinstance(getattr(self, each.name), np.ndarray)
        }
        return replace(self, ids=tuple(self.ids[i] for i in picked), rows=tuple(self.rows[i] for i in picked), **arrays)


class SampleReport(Frozen):
    """What became of every row: used, below or above the depth interval, or excluded for a reason.

    ``notes`` are what was noticed while reading; :attr:`warnings` are what a user has to be told.
    """

    file: str
    checksum: str
    encoding: str
    delimiter: str
    decimal_comma: bool
    rows: int
    used_rows: int
    outside_interval_rows: int
    samples: int
    excluded: tuple[Exclusion, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes, and before them, where it is so, that most rows are not used."""
        bad = len(self.excluded)
        if 2 * bad <= self.rows:
            return self.notes
        reasons = ", ".join(f"{count} {code}" for code, count in self.counts.items())
        loud = (
            f"More than half of the rows cannot be used: {bad} of {self.rows}. Reasons: {reasons}."
            " Look at the list before trusting a map."
        )
        return loud, *self.notes

    @property
    def reasons(self) -> dict[str, str]:
        """What the codes that occur mean."""
        return {code: REASONS[code] for code in self.counts}

    def summary(self) -> dict[str, Any]:
        """The counts of rows, as reports and records give them."""
        return {
            "rows_in_file": self.rows,
            "rows_used": self.used_rows,
            "rows_outside_interval": self.outside_interval_rows,
            "samples": self.samples,
            "excluded": dict(self.counts),
        }
