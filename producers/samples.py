"""Soil samples: from a table to one value for each profile in a depth interval, and a report of every row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.properties import TEXTURE_CODES
from producers.sample_checks import (
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
from producers.sample_profiles import made_samples
from producers.sample_spec import TEXTURE_TOLERANCE_PERCENT, SampleSpec, TargetSpec
from producers.sample_table import SampleReport, SampleTable
from producers.tables import Numbers, Table, has_decimal_comma, numbers_of, read_table

# Fewer samples neither train a forest nor say how good it is.
MIN_SAMPLES = 30
_TEXTURE_NAMES = ({"sand", "sa", "s"}, {"silt", "si", "u"}, {"clay", "cl", "c", "t"})

__all__ = [
    "MIN_SAMPLES",
    "TEXTURE_TOLERANCE_PERCENT",
    "SampleReport",
    "SampleSpec",
    "SampleTable",
    "TargetSpec",
    "check_enough",
    "check_spec",
    "read_samples",
    "samples_of",
    "texture_columns",
    "without_gaps",
]


def read_samples(path: Path, spec: SampleSpec) -> tuple[SampleTable, SampleReport]:
    """Read, check and harmonise the samples at ``path``.

    Raises:
        NotFound: when the file or a column is missing.
        InvalidInput: when the request contradicts itself, or the unit is none of the property.
        InvalidSamples: when the file is no table.
    """
    check_spec(spec)
    return samples_of(read_table(path), spec)


def samples_of(table: Table, spec: SampleSpec) -> tuple[SampleTable, SampleReport]:
    """Check and harmonise the samples in ``table``, as :func:`read_samples` does with a file."""
    check_spec(spec)
    decimal_comma = has_decimal_comma(table, _number_columns(spec))
    draft = _draft(table, spec, decimal_comma)
    notes = [note for note in (_warned_units(draft, spec), _censored_note(draft)) if note]
    notes += _halved_notes(draft) + _joint_notes(draft, spec)
    check_depths(draft)
    check_coordinates(draft, spec.crs)
    check_range(draft, spec.targets)
    notes += _texture_notes(draft, table, spec, decimal_comma)
    if spec.id:
        check_locations(draft, spec.crs)
    replicates = check_repetition(draft, named=spec.id is not None)
    if replicates:
        notes.append(f"{replicates} rows give differing values at one place; they are kept as replicates.")
    check_overlaps(draft)
    if table.encoding != "utf-8":
        notes.append(f"The file is not in UTF-8; it was read as {table.encoding}.")
    samples, outside, cut = made_samples(draft, spec)
    notes += _coverage_notes(samples, spec)
    if cut:
        notes.append(f"The spline of {cut} profiles left what the property can be; its mean was cut at the limit.")
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
    for values in table.values.T:
        if np.ptp(values) == 0:
            raise InvalidSamples(
                f"all {len(table)} samples of {report.file} have the value {values[0]:g}", "give samples that differ"
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
    for target in spec.targets:
        target.property.to_unit(np.zeros(1), target.unit)
    codes = [target.property.code for target in spec.targets]
    if len(set(codes)) < len(codes):
        raise InvalidInput(f"one property is named twice in {', '.join(codes)}", "name each once")
    if (spec.upper is None) != (spec.lower is None):
        raise InvalidInput("only one of the depth columns is named", "name both, --upper and --lower, or none")
    if spec.upper is not None and spec.id is None:
        raise InvalidInput("horizons have no profile", "name the column of profile names with --id")
    if spec.depths_as_rows and spec.upper is None:
        raise InvalidInput("samples by horizon have no depth columns", "name them with --upper and --lower")
    if spec.upper is not None and spec.depth is None and not spec.depths_as_rows:
        raise InvalidInput("horizons have no depth interval to go to", "give --depth, such as 0-20")


def _number_columns(spec: SampleSpec) -> tuple[str, ...]:
    depths = (spec.upper, spec.lower) if spec.upper and spec.lower else ()
    return (*(target.column for target in spec.targets), spec.x, spec.y, *depths, *spec.features)


def _draft(table: Table, spec: SampleSpec, decimal_comma: bool) -> Draft:
    columns = dict.fromkeys(_number_columns(spec))
    read = {name: numbers_of(table.column(name), decimal_comma, spec.missing, spec.below) for name in columns}
    x, y = read[spec.x].values, read[spec.y].values
    depths = None
    if spec.upper and spec.lower:
        depths = spec.to_cm * np.column_stack([read[spec.upper].values, read[spec.lower].values])
    ids = table.column(spec.id) if spec.id else [f"{a:.10g} {b:.10g}" for a, b in zip(x, y, strict=True)]
    features = (
        np.column_stack([read[name].values for name in spec.features]) if spec.features else np.empty((x.size, 0))
    )
    values = np.column_stack([_target_values(read[target.column], target, spec) for target in spec.targets])
    draft = Draft(np.array(table.numbers, dtype=np.int64), ids, x, y, depths, values, features)
    below = np.column_stack([read[target.column].below for target in spec.targets])
    draft.halved = int(np.sum(below & np.isfinite(values)))
    draft.exclusions += [Exclusion(row=row, code="empty", message="blank row") for row in table.empty]
    draft.exclusions += [
        Exclusion(row=row, code="ragged", message=f"{cells} cells where the header has {table.width}")
        for row, cells in table.ragged.items()
    ]
    _exclude_unreadable(draft, table, spec, read)
    return draft


def _target_values(numbers: Numbers, target: TargetSpec, spec: SampleSpec) -> NDArray[np.float64]:
    """Values in the target's unit, (n,); below the limit of detection half of it where that is asked for."""
    values = numbers.values
    if spec.below_detection == "half":
        stated = np.nan if target.detection_limit is None else target.detection_limit
        limits = np.where(np.isnan(numbers.limits), stated, numbers.limits)
        values = np.where(numbers.below, limits / 2, values)
    return np.asarray(values * target.factor, dtype=np.float64)


def _exclude_unreadable(draft: Draft, table: Table, spec: SampleSpec, read: dict[str, Numbers]) -> None:
    for i, name in enumerate(draft.ids):
        if not name:
            draft.exclude(i, "missing-id", f"no profile in column {spec.id}")
    targets = {target.column: k for k, target in enumerate(spec.targets)}
    codes = dict.fromkeys(targets, "missing-target") | {spec.x: "missing-coordinates", spec.y: "missing-coordinates"}
    codes |= dict.fromkeys((name for name in (spec.upper, spec.lower) if name), "missing-depth")
    for column, numbers in read.items():
        cells = table.column(column)
        for i in map(int, np.flatnonzero(numbers.missing | numbers.wrong)):
            if numbers.below[i] and column in targets:
                if np.isnan(draft.values[i, targets[column]]):
                    draft.exclude(i, "below-detection", f"{column} is {cells[i][:40]!r}, below what was detected")
            elif numbers.wrong[i]:
                draft.exclude(i, "not-a-number", f"{column} is {cells[i][:40]!r}, no number")
            else:
                draft.exclude(i, codes.get(column, "missing-feature"), f"no value in column {column}")


def _warned_units(draft: Draft, spec: SampleSpec) -> str | None:
    """What the values look like before any is excluded for its range."""
    found = [
        unit_warning(values, target.property, target.unit)
        for target, values in zip(spec.targets, draft.values.T, strict=True)
    ]
    return " ".join(each for each in found if each) or None


def _halved_notes(draft: Draft) -> list[str]:
    return [f"{draft.halved} values below the limit of detection stand at half of it."] if draft.halved else []


def _joint_notes(draft: Draft, spec: SampleSpec) -> list[str]:
    """How many rows have some of the properties and not all."""
    known = np.isfinite(draft.values)
    some = int(np.sum(known.any(axis=1) & ~known.all(axis=1)))
    if not some:
        return []
    names = ", ".join(target.column for target in spec.targets)
    return [f"{some} rows have a value of some of {names} and not of all; they cannot serve a joint model."]


def _texture_notes(draft: Draft, table: Table, spec: SampleSpec, decimal_comma: bool) -> list[str]:
    """Check the texture sum of a texture target; other targets are not concerned by it."""
    targets = {target.column: target for target in spec.targets if target.property.code in TEXTURE_CODES}
    if not targets:
        return []
    first = next(iter(targets.values()))
    by_code = {target.property.code: name for name, target in targets.items()}
    columns: Sequence[str] | None = spec.texture or texture_columns(table.columns, first.column)
    if len(by_code) == len(TEXTURE_CODES):
        columns = tuple(by_code.values())
    if columns is None:
        return ["The columns of sand, silt and clay were not recognised: their sum was not checked."]
    fractions = []
    for name in columns:
        how = targets.get(name, first)
        numbers = numbers_of(table.column(name), decimal_comma, spec.missing, spec.below)
        fractions.append(how.property.to_unit(_target_values(numbers, how, spec), how.unit))
    unchecked = check_texture(draft, np.column_stack(fractions), spec.texture_tolerance)
    return [f"The texture sum of {unchecked} rows could not be checked: a fraction is missing."] if unchecked else []


def texture_columns(columns: Sequence[str], target: str) -> tuple[str, str, str] | None:
    """The columns of sand, silt and clay by their names, None unless all three are clear and one is the target."""
    found = [[name for name in columns if name.lower() in names] for names in _TEXTURE_NAMES]
    if any(len(names) != 1 for names in found) or not any(target in names for names in found):
        return None
    return found[0][0], found[1][0], found[2][0]


def _censored_note(draft: Draft) -> str | None:
    rows = counted(draft.exclusions).get("below-detection", 0)
    if not rows:
        return None
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
