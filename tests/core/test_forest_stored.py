"""Stored forests: what is read back, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cup4soil.errors import InvalidInput
from cup4soil.methods.forest import ForestParameters, QuantileForest
from tests.core.test_forest import PARAMETERS, table


@pytest.fixture(scope="module")
def forest() -> QuantileForest:
    x, y = table(180, 5)
    return QuantileForest.fit(x, np.log(y + 1), y, PARAMETERS)


def test_a_stored_forest_predicts_the_same(forest, tmp_path):
    np.savez(tmp_path / "forest.npz", **forest.to_arrays())
    with np.load(tmp_path / "forest.npz", allow_pickle=False) as stored:
        back = QuantileForest.from_arrays(stored)
    at = table(100, 5, seed=12)[0]
    assert back.parameters == forest.parameters
    assert back.predict(at).quantiles.tobytes() == forest.predict(at).quantiles.tobytes()
    assert back.predict_modelled(at).mean.tobytes() == forest.predict_modelled(at).mean.tobytes()


DAMAGE = {
    "a child outside its tree": ("left", 0, 10**6),
    "a child before its parent": ("left", 1, 0),
    "a circle": ("left", 0, 0),
    "a feature out of range": ("feature", 0, 5),
    "a negative feature": ("feature", 0, -2),
    "a split made a leaf": ("feature", 0, -1),
    "a threshold that is nan": ("threshold", 0, np.nan),
    "a row out of range": ("leaf_row", 0, 180),
    "a negative row": ("leaf_row", 0, -1),
    "a count of zero": ("leaf_count", 0, 0),
    "a huge count": ("leaf_count", 0, 2**31 - 1),
    "another tree": ("tree_start", 1, 3),
    "a falling tree start": ("tree_start", 1, -3),
    "a leaf past the end": ("leaf_start", -1, 10**9),
    "an empty leaf": ("leaf_start", 1, 0),
    "an infinite target": ("target", 0, np.inf),
    "a reported nan": ("reported", 0, np.nan),
    "more trees than there are": ("parameters", 0, 61),
    "impossible parameters": ("parameters", 2, 7.0),
    "a form that is none": ("parameters", 5, 2.0),
    "half a form": ("parameters", 5, 0.5),
    "an infinite importance": ("importance", 0, np.inf),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_forest_is_refused(forest, damage):
    name, at, value = DAMAGE[damage]
    stored = {key: array.copy() for key, array in forest.to_arrays().items()}
    stored[name][at] = value
    with pytest.raises(InvalidInput, match="inconsistent"):
        QuantileForest.from_arrays(stored)


@pytest.mark.parametrize("name", QuantileForest.fit(*table(20, 2), None, ForestParameters(trees=1)).to_arrays())
def test_arrays_that_are_missing_short_or_of_another_type_are_refused(forest, name):
    stored = forest.to_arrays()
    for changed in (stored[name][:-1], stored[name].astype(np.float16), stored[name][:, None], stored[name][:0]):
        with pytest.raises(InvalidInput):
            QuantileForest.from_arrays({**stored, name: changed})
    with pytest.raises(InvalidInput, match=f"no array '{name}'"):
        QuantileForest.from_arrays({key: array for key, array in stored.items() if key != name})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_integers_are_altered_a_forest_that_loads_stays_in_bounds(forest, data):
    stored = {key: array.copy() for key, array in forest.to_arrays().items()}
    name = data.draw(st.sampled_from(["tree_start", "feature", "left", "leaf_start", "leaf_row", "leaf_count"]))
    array = stored[name]
    where = data.draw(st.integers(0, array.size - 1))
    array[where] = data.draw(st.integers(-3, 400) | st.integers(-(2**31), 2**31 - 1))
    try:
        back = QuantileForest.from_arrays(stored)
    except InvalidInput:
        return
    found = back.predict(table(16, 5, seed=13)[0])
    assert np.isin(found.quantiles, back.reported).all()
