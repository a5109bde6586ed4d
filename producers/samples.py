"""Soil samples: from a table to one value for each profile in a depth interval, and a report of every row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo import CRS
from pydantic import ConfigDict
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.profiles import harmonise
from cup4soil.products import Frozen
from cup4soil.properties import TEXTURE_CODES, SoilProperty
from producers.sample_checks import (
    REASONS,
    Draft,
    Exclusion,
    check_coordinates,
    check_depths,
    check_locations,
    check_overlaps,
    check_range,
    check_repetition,
    check_texture,
    counted,
    unit_warning,
)
from producers.tables import Table, has_decimal_comma, numbers_of, read_table

# Fewer samples neither train a forest nor say how good it is.
MIN_SAMPLES = 30
TEXTURE_TOLERANCE_PERCENT = 1.0
_TEXTURE_NAMES = ({"sand", "sa", "s"}, {"silt", "si", "u"}, {"clay", "cl", "c", "t"})


class SampleSpec(Frozen):
    """Where in the table what stands, and how it is to be read. ``texture`` names sand, silt and clay."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    target: str
    property: SoilProperty
    unit: str
    x: str
    y: str
    crs: CRS
    id: str | None = None
    upper: str | None = None
    lower: str | None = None
    depth: Depth | None = None
    features: tuple[str, ...] = ()
    texture: tuple[str, str, str] | None = None
    texture_tolerance: float = TEXTURE_TOLERANCE_PERCENT
    minimum_coverage: float = 0.5


@dataclass(frozen=True, slots=True)
class SampleTable:
    """One value for each of m profiles. ``values`` in the property's conventional unit, ``features`` (m, f).

    ``rows`` names the rows of the table behind each profile, ``coverage`` the share of the depth interval they
    cover, ``groups`` what belongs together in every validation: equal names, and equal locations.
    """

    ids: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    features: NDArray[np.float64]
    coverage: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def groups(self) -> NDArray[np.int64]:
        """A number for each profile, (m,): the same for those joined by one name or one location, also over others."""
        names = np.unique(np.array(self.ids, dtype=str), return_inverse=True)[1].ravel()
        places = np.unique(np.column_stack([self.x, self.y]), axis=0, return_inverse=True)[1].ravel()
        nodes = 2 * len(self)
        links = coo_array((np.ones(len(self)), (names, len(self) + places)), shape=(nodes, nodes))
        return np.asarray(connected_components(links, directed=False)[1][names], dtype=np.int64)

    def take(self, chosen: NDArray[np.bool_]) -> "SampleTable":
        """The profiles where ``chosen`` is True."""
        picked = np.flatnonzero(chosen)
        return SampleTable(
            tuple(self.ids[i] for i in picked),
            tuple(self.rows[i] for i in picked),
            self.x[picked],
            self.y[picked],
            self.values[picked],
            self.features[picked],
            self.coverage[picked],
        )


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


def read_samples(path: Path, spec: SampleSpec) -> tuple[SampleTable, SampleReport]:
    """Read, check and harmonise the samples at ``path``.

    Raises:
        NotFound: when the file or a column is missing.
        InvalidInput: when the request contradicts itself, or the unit is none of the property.
        InvalidSamples: when the file is no table.
    """
    check_spec(spec)
    table = read_table(path)
    columns = _number_columns(spec)
    decimal_comma = has_decimal_comma(table, columns)
    draft, notes = _draft(table, spec, decimal_comma), []
    suspicion = unit_warning(draft.values, spec.property, spec.unit)
    censored = counted(draft.exclusions).get("below-detection", 0)
    check_depths(draft)
    check_coordinates(draft, spec.crs)
    check_range(draft, spec.property, spec.unit)
    notes += _texture_notes(draft, table, spec, decimal_comma)
    if spec.id:
        check_locations(draft, spec.crs)
    replicates = check_repetition(draft, named=spec.id is not None)
    if replicates:
        notes.append(f"{replicates} rows give differing values at one place; they are kept as replicates.")
    check_overlaps(draft)
    if censored:
        notes.insert(0, _censored_note(censored))
    if suspicion:
        notes.insert(0, suspicion)
    if table.encoding != "utf-8":
        notes.append(f"The file is not in UTF-8; it was read as {table.encoding}.")
    samples, outside = _profiles(draft, spec)
    notes += _coverage_notes(samples, spec)
    return samples, _report(table, decimal_comma, draft.exclusions, samples, outside, notes)


def without_gaps(
    table: SampleTable, report: SampleReport, covariates: NDArray[np.floating], names: Sequence[str]
) -> tuple[NDArray[np.bool_], SampleTable, SampleReport]:
    """Leave out the profiles that have a missing covariate, (m, f); also returns which ones are kept."""
    gaps = np.isnan(covariates)
    kept = ~gaps.any(axis=1)
    found = []
    for i in np.flatnonzero(~kept):
        missing = [name for name, gap in zip(names, gaps[i], strict=True) if gap]
        told = "all covariates" if len(missing) == len(names) else ", ".join(missing)
        found += [
            Exclusion(
                row=row, code="no-covariates", message=f"{told} missing at x {table.x[i]:.10g}, y {table.y[i]:.10g}"
            )
            for row in table.rows[i]
        ]
    rest = table.take(kept)
    excluded = tuple(sorted((*report.excluded, *found), key=lambda each: each.row))
    update = {"excluded": excluded, "counts": counted(excluded), "samples": len(rest), "used_rows": _row_count(rest)}
    return kept, rest, report.model_copy(update=update)


def check_enough(table: SampleTable, report: SampleReport) -> None:
    """Refuse samples that cannot train a model.

    Raises:
        InvalidSamples: when there are fewer than 30, or all have one value.
    """
    if len(table) < MIN_SAMPLES:
        raise InvalidSamples(
            f"{report.file} has {len(table)} usable samples of {report.rows} rows{_main_reason(report)}",
            f"give at least {MIN_SAMPLES}",
        )
    if np.ptp(table.values) == 0:
        raise InvalidSamples(
            f"all {len(table)} samples of {report.file} have the value {table.values[0]:g}", "give samples that differ"
        )


def _main_reason(report: SampleReport) -> str:
    if not report.counts:
        return ""
    code = max(report.counts, key=lambda each: report.counts[each])
    example = next(each for each in report.excluded if each.code == code)
    return f" ({report.counts[code]} excluded as {code}, such as row {example.row}: {example.message})"


def check_spec(spec: SampleSpec) -> None:
    """Refuse a specification that contradicts itself.

    Raises:
        InvalidInput: when depth columns, profiles and interval do not fit together, or the unit is unknown.
    """
    spec.property.to_unit(np.zeros(1), spec.unit)
    if (spec.upper is None) != (spec.lower is None):
        raise InvalidInput("only one of the depth columns is named", "name both, --upper and --lower, or none")
    if spec.upper is not None and spec.id is None:
        raise InvalidInput("horizons have no profile", "name the column of profile names with --id")
    if spec.upper is not None and spec.depth is None:
        raise InvalidInput("horizons have no depth interval to go to", "give --depth, such as 0-20")


def _number_columns(spec: SampleSpec) -> tuple[str, ...]:
    depths = (spec.upper, spec.lower) if spec.upper and spec.lower else ()
    return (spec.target, spec.x, spec.y, *depths, *spec.features)


def _draft(table: Table, spec: SampleSpec, decimal_comma: bool) -> Draft:
    read = {name: numbers_of(table.column(name), decimal_comma) for name in _number_columns(spec)}
    x, y, target = read[spec.x].values, read[spec.y].values, read[spec.target].values
    depths = np.column_stack([read[spec.upper].values, read[spec.lower].values]) if spec.upper and spec.lower else None
    ids = table.column(spec.id) if spec.id else [f"{a:.10g} {b:.10g}" for a, b in zip(x, y, strict=True)]
    features = (
        np.column_stack([read[name].values for name in spec.features]) if spec.features else np.empty((x.size, 0))
    )
    draft = Draft(np.array(table.numbers, dtype=np.int64), ids, x, y, depths, target, features)
    draft.exclusions += [Exclusion(row=row, code="empty", message="blank row") for row in table.empty]
    draft.exclusions += [
        Exclusion(row=row, code="ragged", message=f"{cells} cells where the header has {len(table.columns)}")
        for row, cells in table.ragged.items()
    ]
    _exclude_unreadable(draft, table, spec, decimal_comma)
    return draft


def _exclude_unreadable(draft: Draft, table: Table, spec: SampleSpec, decimal_comma: bool) -> None:
    for i, name in enumerate(draft.ids):
        if not name:
            draft.exclude(i, "missing-id", f"no profile in column {spec.id}")
    codes = {spec.target: "missing-target", spec.x: "missing-coordinates", spec.y: "missing-coordinates"}
    codes |= dict.fromkeys((name for name in (spec.upper, spec.lower) if name), "missing-depth")
    for column in _number_columns(spec):
        cells = table.column(column)
        numbers = numbers_of(cells, decimal_comma)
        for i in map(int, np.flatnonzero(numbers.missing | numbers.wrong)):
            if numbers.below[i] and column == spec.target:
                draft.exclude(i, "below-detection", f"{column} is {cells[i][:40]!r}, below what was detected")
            elif numbers.wrong[i]:
                draft.exclude(i, "not-a-number", f"{column} is {cells[i][:40]!r}, no number")
            else:
                draft.exclude(i, codes.get(column, "missing-feature"), f"no value in column {column}")


def _texture_notes(draft: Draft, table: Table, spec: SampleSpec, decimal_comma: bool) -> list[str]:
    """Check the texture sum of a texture target; other targets are not concerned by it."""
    if spec.property.code not in TEXTURE_CODES:
        return []
    columns = spec.texture or texture_columns(table.columns, spec.target)
    if columns is None:
        return ["The columns of sand, silt and clay were not recognised: their sum was not checked."]
    fractions = np.column_stack([numbers_of(table.column(name), decimal_comma).values for name in columns])
    to_percent = float(spec.property.to_unit(np.ones(1), spec.unit)[0])
    unchecked = check_texture(draft, fractions, to_percent, spec.texture_tolerance)
    return [f"The texture sum of {unchecked} rows could not be checked: a fraction is missing."] if unchecked else []


def texture_columns(columns: Sequence[str], target: str) -> tuple[str, str, str] | None:
    """The columns of sand, silt and clay by their names, None unless all three are clear and one is the target."""
    found = [[name for name in columns if name.lower() in names] for names in _TEXTURE_NAMES]
    if any(len(names) != 1 for names in found) or not any(target in names for names in found):
        return None
    return found[0][0], found[1][0], found[2][0]


def _profiles(draft: Draft, spec: SampleSpec) -> tuple[SampleTable, int]:
    """The kept rows as profiles, and how many rows lie wholly outside the depth interval."""
    kept = np.flatnonzero(draft.kept)
    values = np.column_stack([spec.property.to_unit(draft.values, spec.unit), draft.features])
    if draft.depths is None or spec.depth is None:
        ids = [draft.ids[int(i)] for i in kept]
        return _sample_table(draft, ids, [[int(i)] for i in kept], values[kept], np.ones(kept.size)), 0
    top, bottom = spec.depth.upper_cm, spec.depth.lower_cm
    within = kept[np.minimum(draft.depths[kept, 1], bottom) > np.maximum(draft.depths[kept, 0], top)]
    upper, lower = draft.depths[within].T
    ids = [draft.ids[int(i)] for i in within]
    result = harmonise(ids, upper, lower, values[within], spec.depth, minimum_coverage=spec.minimum_coverage)
    members: dict[str, list[int]] = {}
    for i, name in zip(within, ids, strict=True):
        members.setdefault(name, []).append(int(i))
    for name, share in result.rejected.items():
        for i in members[name]:
            draft.exclude(i, "partial-coverage", f"profile {name} covers {100 * share:.0f} % of {spec.depth}")
    table = _sample_table(draft, result.ids, [members[name] for name in result.ids], result.values, result.coverage)
    return table, int(kept.size - within.size)


def _sample_table(
    draft: Draft,
    ids: Sequence[str],
    members: Sequence[Sequence[int]],
    values: NDArray[np.float64],
    coverage: NDArray[np.float64],
) -> SampleTable:
    """Samples made of the rows ``members``; ``values`` holds the target and then the features."""
    first = np.array([rows[0] for rows in members], dtype=np.int64)
    rows = tuple(tuple(int(draft.rows[i]) for i in each) for each in members)
    return SampleTable(tuple(ids), rows, draft.x[first], draft.y[first], values[:, 0], values[:, 1:], coverage)


def _censored_note(rows: int) -> str:
    return (
        f"{rows} rows are left out because their value is below the limit of detection: without the lowest values"
        " the map tends to be too high. Half the limit in their place would keep them."
    )


def _coverage_notes(samples: SampleTable, spec: SampleSpec) -> list[str]:
    partial = int(np.sum(samples.coverage < 1.0 - 1e-9))
    if not partial:
        return []
    return [f"{partial} profiles cover only part of {spec.depth}; the mean of what they cover stands for the whole."]


def _report(
    table: Table,
    decimal_comma: bool,
    exclusions: Sequence[Exclusion],
    samples: SampleTable,
    outside: int,
    notes: Sequence[str],
) -> SampleReport:
    excluded = tuple(sorted(exclusions, key=lambda each: each.row))
    return SampleReport(
        file=table.name,
        checksum=table.checksum,
        encoding=table.encoding,
        delimiter=table.delimiter,
        decimal_comma=decimal_comma,
        rows=table.total,
        used_rows=_row_count(samples),
        outside_interval_rows=outside,
        samples=len(samples),
        excluded=excluded,
        counts=counted(excluded),
        notes=tuple(notes),
    )


def _row_count(samples: SampleTable) -> int:
    return sum(len(rows) for rows in samples.rows)
