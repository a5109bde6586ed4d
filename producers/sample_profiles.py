"""From checked rows to samples: one for each row, each horizon or each profile."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.methods.profiles import harmonise
from producers.sample_checks import Draft
from producers.sample_spec import SampleSpec
from producers.sample_table import SampleTable


def made_samples(draft: Draft, spec: SampleSpec) -> tuple[SampleTable, int, int]:
    """The kept rows as samples, how many rows lie wholly outside the interval, and how many splines were cut."""
    kept = np.flatnonzero(draft.kept)
    converted = [
        target.property.to_unit(values, target.unit)
        for target, values in zip(spec.targets, draft.values.T, strict=True)
    ]
    values = np.column_stack([*converted, draft.features])
    if draft.depths is None:
        depth = spec.depth
        depths = None if depth is None else np.tile([depth.upper_cm, depth.lower_cm], (kept.size, 1))
        return _by_row(draft, spec, kept, values, depths), 0, 0
    if spec.depths_as_rows:
        within = kept[_middles_within(draft.depths[kept], spec.depth)]
        table = _by_row(draft, spec, within, values, draft.depths[within])
        return table, int(kept.size - within.size), 0
    return _by_profile(draft, spec, kept, values)


def _by_row(
    draft: Draft,
    spec: SampleSpec,
    rows: NDArray[np.intp],
    values: NDArray[np.float64],
    depths: NDArray[np.float64] | None,
) -> SampleTable:
    ids = [draft.ids[int(i)] for i in rows]
    return _sample_table(draft, spec, ids, [[int(i)] for i in rows], values[rows], np.ones(rows.size), depths)


def _middles_within(depths: NDArray[np.float64], interval: Depth | None) -> NDArray[np.bool_]:
    if interval is None:
        return np.ones(len(depths), dtype=bool)
    middle = depths.mean(axis=1)
    return np.asarray((middle >= interval.upper_cm) & (middle <= interval.lower_cm), dtype=np.bool_)


def _by_profile(
    draft: Draft, spec: SampleSpec, kept: NDArray[np.intp], values: NDArray[np.float64]
) -> tuple[SampleTable, int, int]:
    """One sample for each profile, in the depth interval."""
    if draft.depths is None or spec.depth is None:
        raise InvalidInput("horizons have no depth interval to go to", "give --depth, such as 0-20")
    top, bottom = spec.depth.upper_cm, spec.depth.lower_cm
    within = kept[np.minimum(draft.depths[kept, 1], bottom) > np.maximum(draft.depths[kept, 0], top)]
    members: dict[str, list[int]] = {}
    for i in map(int, within):
        members.setdefault(draft.ids[i], []).append(i)
    # The spline is drawn through all layers of a profile that has one inside the interval.
    drawn = np.array([i for i in kept if draft.ids[i] in members], dtype=np.intp)
    rows = drawn if spec.harmonise == "spline" else within
    upper, lower = draft.depths[rows].T
    result = harmonise(
        [draft.ids[i] for i in rows], upper, lower, values[rows], spec.depth,
        minimum_coverage=spec.minimum_coverage, method=spec.harmonise, smoothing=spec.smoothing, limits=_limits(spec),
    )  # fmt: skip
    for name, share in result.rejected.items():
        for i in members[name]:
            draft.exclude(i, "partial-coverage", f"profile {name} covers {100 * share:.0f} % of {spec.depth}")
    chosen = [members[name] for name in result.ids]
    depths = np.tile([top, bottom], (len(chosen), 1))
    table = _sample_table(draft, spec, result.ids, chosen, result.values, result.coverage, depths)
    return table, int(kept.size - within.size), len(result.cut)


def _limits(spec: SampleSpec) -> NDArray[np.float64]:
    """The range of each target, and none for the features."""
    known = [target.property.valid_range for target in spec.targets]
    return np.array([*known, *([(-np.inf, np.inf)] * len(spec.features))], dtype=np.float64)


def _sample_table(
    draft: Draft,
    spec: SampleSpec,
    ids: Sequence[str],
    members: Sequence[Sequence[int]],
    values: NDArray[np.float64],
    coverage: NDArray[np.float64],
    depths: NDArray[np.float64] | None,
) -> SampleTable:
    """Samples made of the rows ``members``; ``values`` holds the targets and then the features."""
    first = np.array([rows[0] for rows in members], dtype=np.int64)
    rows = tuple(tuple(int(draft.rows[i]) for i in each) for each in members)
    codes = tuple(target.property.code for target in spec.targets)
    count = len(codes)
    return SampleTable(
        tuple(ids), rows, draft.x[first], draft.y[first], values[:, :count], values[:, count:], coverage, codes, depths
    )
