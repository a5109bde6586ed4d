"""Validation of a finished map with samples of one's own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples
from cup4soil.methods.skill import assess
from cup4soil.methods.validation import Scores, scores
from cup4soil.products import ProductRecord, Verdict
from cup4soil.rasters.reading import read_at_points
from producers.plots import HeldOut
from producers.samples import SampleTable

_LEAST = 10
_READ = ("mean", "q05", "q95")

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MapValidation:
    """A map against samples, by the cell each lies in.

    ``independent``: False where the model was trained on this very file. ``unmapped``: samples where the map has no
    value. ``inside`` and ``outside`` the area of applicability are None where fewer than 10 samples lie there.
    ``mec_interval`` (90 %, bootstrap of whole groups) and ``verdict`` are None where samples are all alike.
    """

    held_out: HeldOut
    unmapped: int
    independent: bool
    whole: Scores
    inside: Scores | None
    outside: Scores | None
    mec_interval: tuple[float, float] | None
    verdict: Verdict | None


def validate_map(
    folder: Path, record: ProductRecord, table: SampleTable, places: tuple[_Floats, _Floats], checksum: str, seed: int
) -> MapValidation:
    """Score the map in ``folder`` at ``places``, x and y in its CRS, against the values of ``table``.

    Raises:
        InvalidSamples: when fewer than 10 samples lie on the map.
    """
    mean, low, high = (_at(folder, record, name, places) for name in _READ)
    names = {layer.name for layer in record.layers}
    applies = _at(folder, record, "aoa", places) == 1 if "aoa" in names else np.zeros(mean.size, bool)
    mapped = np.isfinite(mean) & np.isfinite(low) & np.isfinite(high)
    if mapped.sum() < _LEAST:
        raise InvalidSamples(
            f"{int(mapped.sum())} of {mapped.size} samples lie on the map", f"give at least {_LEAST}, and check --crs"
        )
    observed = table.value

    def scored(chosen: NDArray[np.bool_]) -> Scores | None:
        if chosen.sum() < _LEAST:
            return None
        return scores(observed[chosen], mean[chosen], low[chosen], high[chosen])

    skill = None
    if np.ptp(observed[mapped]) > 0 and np.unique(table.groups[mapped]).size > 1:
        skill = assess(observed[mapped], mean[mapped], table.groups[mapped], seed)
    return MapValidation(
        held_out=HeldOut("Own samples", observed[mapped], mean[mapped], low[mapped], high[mapped]),
        unmapped=int((~mapped).sum()),
        independent=all(source.checksum != checksum for source in record.sources if source.role == "samples"),
        whole=scores(observed[mapped], mean[mapped], low[mapped], high[mapped]),
        inside=scored(mapped & applies),
        outside=scored(mapped & ~applies) if "aoa" in names else None,
        mec_interval=None if skill is None else (skill.interval.low, skill.interval.high),
        verdict=None if skill is None else skill.verdict,
    )


def _at(folder: Path, record: ProductRecord, name: str, places: tuple[_Floats, _Floats]) -> _Floats:
    return np.asarray(read_at_points(folder / record.layer(name).file, *places)[0], np.float64)
