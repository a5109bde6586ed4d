"""Semivariograms against loops over pairs, gstat where it is installed, and models that are known."""

import shutil
import subprocess

import numpy as np
import pytest
from scipy.optimize import nnls

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods import variogram
from cup4soil.methods.variogram import Variogram, VariogramModel, empirical_variogram, fit_variogram


def field(n: int = 120, seed: int = 0, reach: float = 30.0, nugget: float = 0.3) -> tuple[np.ndarray, ...]:
    """A Gaussian field with an exponential covariance of sill 1, and a nugget."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, 200, (2, n))
    covariance = np.exp(-np.hypot(np.subtract.outer(x, x), np.subtract.outer(y, y)) / reach) + nugget * np.eye(n)
    return x, y, np.linalg.cholesky(covariance) @ random.normal(size=n)


def by_pairs(x: np.ndarray, y: np.ndarray, z: np.ndarray, cutoff: float, classes: int, robust: bool) -> list[tuple]:
    members: dict[int, list[tuple[float, float]]] = {}
    for i in range(len(z)):
        for j in range(i):
            h = np.sqrt((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2)
            for k in range(classes):
                if k * cutoff / classes < h <= (k + 1) * cutoff / classes:
                    members.setdefault(k, []).append((h, abs(z[i] - z[j])))
    found = []
    for k in sorted(members):
        h, d = np.array(members[k]).T
        gamma = 0.5 * np.mean(d**0.5) ** 4 / (0.457 + 0.494 / len(d)) if robust else np.mean(d**2) / 2
        found.append((h.mean(), gamma, len(d)))
    return found


@pytest.mark.parametrize("estimator", ["matheron", "cressie"])
@pytest.mark.parametrize("block", [17, 1000])
def test_equals_a_loop_over_pairs(monkeypatch, estimator, block):
    monkeypatch.setattr(variogram, "_BLOCK", block)
    x, y, z = field(60)
    x[5], y[5] = x[6], y[6]
    found = empirical_variogram(x, y, z, classes=7, cutoff=70, estimator=estimator)
    expected = by_pairs(x, y, z, 70, 7, estimator == "cressie")
    np.testing.assert_allclose(
        np.column_stack([found.distance, found.semivariance, found.pairs]), np.array(expected), rtol=1e-10
    )
    assert (found.n, found.cutoff, found.estimator) == (60, 70, estimator)


def test_default_cutoff_and_missing_rows():
    x, y, z = field(60)
    whole = empirical_variogram(x, y, z)
    assert whole.cutoff == pytest.approx(np.hypot(np.ptp(x), np.ptp(y)) / 3)
    gappy = empirical_variogram(np.r_[x, 1.0], np.r_[y, 2.0], np.r_[z, np.nan])
    np.testing.assert_array_equal(gappy.semivariance, whole.semivariance)


def test_many_rows_are_drawn(monkeypatch):
    monkeypatch.setattr(variogram, "MOST_ROWS", 50)
    x, y, z = field(80)
    found, again = (empirical_variogram(x, y, z, seed=1) for _ in range(2))
    assert found.n == 50
    np.testing.assert_array_equal(found.semivariance, again.semivariance)


def test_the_robust_estimator_withstands_an_outlier():
    x, y, z = field(400)
    spoilt = z.copy()
    spoilt[::80] += 15
    plain, robust = (
        empirical_variogram(x, y, spoilt, estimator=name).semivariance.mean()
        / empirical_variogram(x, y, z, estimator=name).semivariance.mean()
        for name in ("matheron", "cressie")
    )
    assert plain > 2.5
    assert robust < 1.5


@pytest.mark.parametrize("form", ["spherical", "exponential"])
def test_a_model_without_noise_is_found_again(form):
    h = np.linspace(5, 100, 15)
    true = VariogramModel(form, 0.4, 1.3, 35.0, 0.0)
    found = fit_variogram(Variogram(99, "matheron", 100.0, h, true.semivariance(h), np.full(15, 50)))
    assert found.form == form
    assert (found.nugget, found.partial_sill, found.range) == pytest.approx((0.4, 1.3, 35.0), rel=1e-3)
    assert found.nugget_share == pytest.approx(0.4 / 1.7, rel=1e-3)
    assert found.effective_range == pytest.approx(35.0 * (1 if form == "spherical" else 3), rel=1e-3)
    assert found.semivariance(0.0) == 0.0
    assert found.semivariance(1e9) == pytest.approx(found.nugget + found.partial_sill)


@pytest.mark.parametrize("form", ["spherical", "exponential"])
def test_the_fit_is_no_worse_than_any_on_a_fine_grid(form):
    found = empirical_variogram(*field(200, 3))
    model = fit_variogram(found, form)
    root = np.sqrt(found.pairs) / found.distance
    for reach in np.exp(np.linspace(np.log(found.distance[0] / 10), np.log(3 * found.cutoff), 400)):
        shape = VariogramModel(form, 0.0, 1.0, reach, 0.0).semivariance(found.distance)
        rest = nnls(np.column_stack([np.ones_like(shape), shape]) * root[:, None], found.semivariance * root)[1]
        assert model.sse <= rest**2 * (1 + 1e-6)
    assert model.sse == pytest.approx(np.sum((root * (found.semivariance - model.semivariance(found.distance))) ** 2))


def test_structure_of_fields_is_seen_and_noise_is_all_nugget():
    models = [fit_variogram(empirical_variogram(*field(300, seed)), "exponential") for seed in range(5)]
    assert np.median([each.effective_range for each in models]) == pytest.approx(90, rel=0.5)
    assert np.median([each.nugget_share for each in models]) < 0.5
    x, y, _ = field(300)
    noise = np.random.default_rng(9).normal(size=300)
    assert fit_variogram(empirical_variogram(x, y, noise)).nugget_share > 0.8


def test_equal_values_have_no_variance():
    x, y, _ = field(50)
    model = fit_variogram(empirical_variogram(x, y, np.ones(50)))
    assert (model.nugget, model.partial_sill) == (0.0, 0.0)
    assert np.isnan(model.nugget_share)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"classes": 0}, InvalidInput, "0 classes"),
        ({"cutoff": -1.0}, InvalidInput, "a length"),
        ({"estimator": "best"}, InvalidInput, "'best'"),
        ({"x": np.zeros(3)}, InvalidInput, "per row"),
        ({"x": np.zeros(50), "y": np.zeros(50)}, InvalidSamples, "no two of 50"),
        ({"values": np.full(50, np.nan)}, InvalidSamples, "no two of 0"),
        ({"cutoff": 1e-9}, InvalidSamples, "larger cutoff"),
    ],
)
def test_what_has_no_variogram(change, error, message):
    x, y, z = field(50)
    with pytest.raises(error, match=message):
        empirical_variogram(**{"x": x, "y": y, "values": z} | change)


def test_what_cannot_be_fitted():
    found = empirical_variogram(*field(50))
    with pytest.raises(InvalidInput, match="'linear'"):
        fit_variogram(found, "linear")
    with pytest.raises(InvalidSamples, match="2 classes"):
        fit_variogram(empirical_variogram(*field(50), classes=2))


def test_equals_gstat():
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    x, y, z = field(80)
    rows = ",".join(f"{v!r}" for column in (x, y, z) for v in column.tolist())
    script = (
        "if (!requireNamespace('gstat', quietly=TRUE) || !requireNamespace('sp', quietly=TRUE)) quit(status=3);"
        f"m <- as.data.frame(matrix(c({rows}), ncol=3)); names(m) <- c('x','y','z'); sp::coordinates(m) <- ~x+y;"
        "v <- gstat::variogram(z~1, m, cutoff=70, width=10); cat(v$np, v$dist, v$gamma)"
    )
    ran = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=False)
    if ran.returncode == 3:
        pytest.skip("R has no gstat")
    theirs = np.array(ran.stdout.split(), float).reshape(3, -1)
    ours = empirical_variogram(x, y, z, classes=7, cutoff=70)
    np.testing.assert_allclose([ours.pairs, ours.distance, ours.semivariance], theirs, rtol=1e-5)
