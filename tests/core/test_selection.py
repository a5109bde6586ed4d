"""Covariates that say the same go, useless ones go, and each is named with its reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods.forest import ForestParameters
from cup4soil.methods.selection import decorrelate, eliminate

SMALL = ForestParameters(trees=20, seed=1)


def names(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


@given(st.integers(0, 500), st.integers(2, 9), st.floats(0.3, 0.95))
def test_no_two_that_are_kept_correlate_beyond_the_limit(seed, f, limit):
    random = np.random.default_rng(seed)
    x = random.normal(size=(40, 3)) @ random.normal(size=(3, f)) + 0.3 * random.normal(size=(40, f))
    found = decorrelate(x, names(f), limit)
    kept = [int(name[1:]) for name in found.kept]
    assert kept == sorted(kept)
    assert {*found.kept, *(each.name for each in found.dropped)} == set(names(f))
    between = np.abs(np.corrcoef(x[:, kept], rowvar=False)) - np.eye(len(kept))
    assert between.max() <= limit
    # Nothing goes without need: what was dropped correlates with one that was there.
    whole = np.abs(np.corrcoef(x, rowvar=False)) - np.eye(f)
    assert all(whole[int(each.name[1:])].max() > limit for each in found.dropped)


def test_of_a_pair_the_one_goes_that_is_closer_to_the_rest():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 400))
    x = np.column_stack([a, a + 0.2 * b, b, np.full(400, 3.0)])
    found = decorrelate(x, ["a", "mixed", "b", "flat"])
    assert found.kept == ("a", "b")
    assert [each.name for each in found.dropped] == ["flat", "mixed"]
    assert found.dropped[0].reason == "it has one value in all samples"
    assert found.dropped[1].reason.startswith("it correlates with a (|r| = 0.9")
    assert decorrelate(np.column_stack([a, a]), ["first", "copy"]).kept == ("first",)
    assert decorrelate(x[:, :1], ["a"]).kept == ("a",)


def world(n: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    x = random.normal(size=(n, 8))
    return x, 3 * x[:, 1] + 2 * x[:, 4] + 0.5 * random.normal(size=n), np.arange(n) % 4


def test_elimination_keeps_what_matters():
    x, y, folds = world()
    left = []
    found = eliminate(x, y, folds, names(8), SMALL, on_step=left.append)
    assert found.kept == ("c1", "c4")
    assert {each.name for each in found.dropped} == set(names(8)) - {"c1", "c4"}
    assert left == [7, 6, 5, 4, 3, 2, 1]
    assert [len(step.covariates) for step in found.steps] == [8, 7, 6, 5, 4, 3, 2, 1]
    best = min(found.steps, key=lambda step: step.error)
    chosen = next(step for step in found.steps if step.covariates == found.kept)
    assert chosen.error <= best.error + best.standard_error
    assert found.steps[-1].error > best.error + best.standard_error


def test_levels_of_a_class_stay_together():
    x, y, folds = world()
    classes = np.eye(3)[np.random.default_rng(0).integers(0, 3, 150)]
    y = y + 6 * classes[:, 0] - 6 * classes[:, 2]
    found = eliminate(np.column_stack([x[:, :3], classes]), y, folds, ["a", "b", "c", "k", "k", "k"], SMALL)
    assert found.kept == ("b", "k")
    assert [len(step.covariates) for step in found.steps] == [4, 3, 2, 1]
    again = eliminate(np.column_stack([x[:, :3], classes]), y, folds, ["a", "b", "c", "k", "k", "k"], SMALL, threads=1)
    assert found == again


def test_several_targets_keep_what_matters_to_any():
    x, _, folds = world()
    found = eliminate(x, np.column_stack([x[:, 0] * 100, x[:, 7]]), folds, names(8), SMALL)
    assert found.kept == ("c0", "c7")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"names": ["a"]}, InvalidInput, "for 1 names"),
        ({"folds": np.zeros(150)}, InvalidInput, "1 folds"),
        ({"target": np.zeros(3)}, InvalidInput, "per row"),
        ({"features": np.full((150, 8), np.nan)}, InvalidSamples, "sample 0"),
    ],
)
def test_what_cannot_be_eliminated(change, error, message):
    x, y, folds = world()
    with pytest.raises(error, match=message):
        eliminate(**{"features": x, "target": y, "folds": folds, "names": names(8)} | change)


def test_a_limit_that_is_none():
    with pytest.raises(InvalidInput, match="limit of 1"):
        decorrelate(np.zeros((3, 2)), ["a", "b"], 1.0)
