"""The real soil samples behind the simulation, and how reflectance follows organic carbon in them.

BB.250 of LimeSoDa (Schmidinger et al. 2025, "LimeSoDa: A dataset collection for benchmarking of machine learning
regressors in digital soil mapping"; CC BY-SA 4.0): 250 samples of a field in Brandenburg with laboratory SOC and the
Sentinel-2 L2A digital numbers of a bare date, which carry the offset of +1000.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import LimeSoDa
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from cup4soil.methods.bare_soil import BANDS
from producers.simulation.spectra import pvir2

LICENCE = "CC-BY-SA-4.0"
LIMESODA_URL = "https://github.com/JonasSchmidinger/LimeSoDa"
ATTRIBUTION = "BB.250 of LimeSoDa (Schmidinger et al. 2025), CC BY-SA 4.0"
SAMPLES_CRS = "EPSG:25833"

_OFFSET, _SCALE = 1000.0, 1.0e-4
# Above this index a sample's pixel was partly green: it says little about the soil's spectrum.
_GREEN_PVIR2 = 0.1
_NODES, _NEIGHBOURS = 41, 80


@dataclass(frozen=True, slots=True)
class Samples:
    """n samples: coordinates in EPSG:25833 (m), SOC (%), reflectance 0 ... 1 of shape (n, 10) in the order of BANDS."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    soc_percent: NDArray[np.float64]
    reflectance: NDArray[np.float64]

    def write(self, path: Path) -> None:
        """Write as CSV: id, x, y, soc (%), SRC_B02 ... SRC_B12 (reflectance, named as in a composite)."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(["id", "x", "y", "soc", *(f"SRC_{band}" for band in BANDS)])
            for i, (x, y, soc) in enumerate(zip(self.x, self.y, self.soc_percent, strict=True)):
                spectrum = (f"{value:.4f}" for value in self.reflectance[i])
                table.writerow([f"BB250-{i + 1:03d}", f"{x:.2f}", f"{y:.2f}", f"{soc:.4g}", *spectrum])


def load_samples() -> Samples:
    """The 250 samples."""
    data = LimeSoDa.load_dataset("BB.250")
    table, points = data["Dataset"], data["Coordinates"]
    numbers = table[list(BANDS)].to_numpy(dtype=np.float64)
    return Samples(
        points["x_25833"].to_numpy(dtype=np.float64),
        points["y_25833"].to_numpy(dtype=np.float64),
        table["SOC_target"].to_numpy(dtype=np.float64),
        (numbers - _OFFSET) * _SCALE,
    )


@dataclass(frozen=True, slots=True)
class SoilSpectra:
    """Reflectance of bare soil given SOC: a mean curve per band, and residuals by their principal components.

    ``log_soc`` (m,) are the nodes of the curves ``mean`` (m, 10) and ``spread`` (m, 10); the latter is the standard
    deviation of each component's score. ``axes`` (10, 10) has the components in its rows, ``scores`` (n, 10) the
    samples' scores divided by their spread, each column sorted.
    """

    log_soc: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    axes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def reflectance(self, soc_percent: NDArray[np.float32], fields: NDArray[np.float32]) -> NDArray[np.float32]:
        """Spectra of shape (10, ...) for SOC of shape (...) and standard normal ``fields`` of shape (10, ...).

        Each field is carried to the distribution of its component's scores, so that the residuals have the
        samples' covariance and marginals and the fields' correlation in space.
        """
        logs = np.log(np.asarray(soc_percent, dtype=np.float64))
        spectra = self._curve(logs, self.mean)
        positions = (np.arange(len(self.scores)) + 0.5) / len(self.scores)
        spreads = self._curve(logs, self.spread)
        for axis, scores, field, spread in zip(self.axes, self.scores.T, fields, spreads, strict=True):
            score = np.interp(ndtr(field), positions, scores) * spread
            spectra += axis.reshape(-1, *(1,) * score.ndim) * score
        return np.clip(spectra, 0.01, 0.7).astype(np.float32)

    def _curve(self, logs: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(logs, self.log_soc, curve) for curve in nodes.T])


def fit_soil_spectra(samples: Samples) -> SoilSpectra:
    """Fit the curves on ln(SOC) over the nearest 80 samples with tricube weights (Cleveland 1979).

    The mean is a local line, the spread a local root mean square. Samples whose pixel was partly green are left out.
    """
    bare = pvir2(samples.reflectance.T) < _GREEN_PVIR2
    logs, spectra = np.log(samples.soc_percent[bare]), samples.reflectance[bare]
    nodes = np.linspace(logs.min(), logs.max(), _NODES)
    weights = np.stack([_tricube(node, logs) for node in nodes])
    mean = np.stack([_local_line(logs - node, spectra, weight) for node, weight in zip(nodes, weights, strict=True)])
    residuals = spectra - np.stack([np.interp(logs, nodes, curve) for curve in mean.T], axis=1)
    axes = np.linalg.svd(residuals - residuals.mean(axis=0), full_matrices=False)[2]
    scores = residuals @ axes.T
    spread = np.sqrt(weights @ scores**2 / weights.sum(axis=1, keepdims=True))
    local = np.stack([np.interp(logs, nodes, curve) for curve in spread.T], axis=1)
    return SoilSpectra(nodes, mean, spread, axes, np.sort(scores / local, axis=0))


def _tricube(node: float, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    distance = np.abs(logs - node)
    reach = np.sort(distance)[_NEIGHBOURS - 1] * 1.001
    return np.asarray(np.clip(1.0 - (distance / reach) ** 3, 0.0, None) ** 3)


def _local_line(
    offset: NDArray[np.float64], spectra: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    root = np.sqrt(weight)[:, None]
    design = np.column_stack([np.ones_like(offset), offset])
    return np.asarray(np.linalg.lstsq(design * root, spectra * root, rcond=None)[0][0])
