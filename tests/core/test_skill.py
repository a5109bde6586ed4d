"""The bootstrap against a loop over draws, its coverage, and the verdict."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.skill import Interval, assess, bootstrap_mec, verdict


def world(n: int = 200, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    p = random.normal(size=n)
    return 1e3 + p + noise * random.normal(size=n), 1e3 + p


def by_loop(y: np.ndarray, p: np.ndarray, groups: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Efficiencies of samples in which each group really stands as often as it was drawn."""
    names = np.unique(groups)
    random, found = np.random.default_rng(seed), []
    for _ in range(draws):
        times = random.multinomial(names.size, np.full(names.size, 1 / names.size))
        rows = np.concatenate([np.tile(np.flatnonzero(groups == g), t) for g, t in zip(names, times, strict=True)])
        found.append(r2_score(y[rows], p[rows]))
    return np.array(found)


@pytest.mark.parametrize("size", [1, 4])
def test_interval_equals_a_loop_over_draws(size):
    y, p = world(60)
    groups = np.array([f"g{i // size}" for i in range(60)])
    interval = bootstrap_mec(y, p, groups, seed=3, draws=150)
    np.testing.assert_allclose(
        (interval.low, interval.high), np.quantile(by_loop(y, p, groups, 3, 150), [0.05, 0.95]), rtol=1e-9
    )


def test_chunks_do_not_matter(monkeypatch):
    y, p = world()
    whole = bootstrap_mec(y, p, seed=1)
    monkeypatch.setattr("cup4soil.methods.skill._CHUNK", 7 * 200)
    assert bootstrap_mec(y, p, seed=1) == whole


def test_interval_holds_the_true_efficiency_about_as_often_as_it_says():
    true = 0.5
    held = [
        (interval := bootstrap_mec(*world(150, 1.0, seed), seed=seed, draws=300)).low <= true <= interval.high
        for seed in range(200)
    ]
    assert 0.83 <= np.mean(held) <= 0.96


def test_groups_that_belong_together_widen_the_interval():
    y, p = world(40)
    rows = np.repeat(np.arange(40), 10)
    alone, together = bootstrap_mec(y[rows], p[rows]), bootstrap_mec(y[rows], p[rows], rows)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_verdict():
    assert verdict(Interval(0.05, 0.4)) == "skill"
    assert verdict(Interval(0.0499, 0.9)) == "no-skill"
    y, p = world()
    good = assess(y, p)
    assert (good.verdict, good.n, good.groups) == ("skill", 200, 200)
    assert good.mec == pytest.approx(r2_score(y, p), rel=1e-9)
    assert good.interval.low < good.mec < good.interval.high
    noise = assess(y, np.random.default_rng(9).permutation(p))
    assert noise.verdict == "no-skill"


def test_missing_rows_are_left_out_and_draws_without_variance_too():
    y, p = world(50)
    gappy = np.r_[y, np.nan, 1.0], np.r_[p, 1.0, np.nan]
    assert assess(*gappy).n == 50
    assert bootstrap_mec(*gappy) == bootstrap_mec(y, p)
    two = assess([1.0, 1.0, 3.0, 3.0], [1.0, 1.0, 3.0, 3.0], [0, 0, 1, 1])
    assert two.interval == Interval(1.0, 1.0)


@pytest.mark.parametrize(
    ("y", "p", "groups", "error", "message"),
    [
        ([1.0, 2], [1.0], None, InvalidInput, "per row"),
        ([1.0, 2], [1.0, 2], [1], InvalidInput, "per row"),
        ([1.0, np.inf], [1.0, 2], None, InvalidInput, "infinite"),
        ([1.0, 2], [1.0, 2], [1, 1], InvalidSamples, "fewer than two groups"),
        ([np.nan, 2], [1.0, 2], None, InvalidSamples, "fewer than two groups"),
        ([0.1, 0.1, 0.1], [1.0, 2, 3], None, InvalidSamples, "one value"),
    ],
)
def test_what_has_no_skill_to_measure(y, p, groups, error, message):
    with pytest.raises(error, match=message):
        bootstrap_mec(y, p, groups)


def test_too_few_draws_are_refused():
    with pytest.raises(InvalidInput, match="99 draws"):
        bootstrap_mec([1.0, 2], [1.0, 2], draws=99)
