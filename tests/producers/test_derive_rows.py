"""Derived indicators from the leaves of a joint forest, against Monte Carlo and against independent quantiles."""

import numpy as np
import pytest

from cup4soil.errors import InvalidInput, InvalidSamples, NotFound
from cup4soil.indicators import NOT_MAPPED, indicator, indicator_codes
from cup4soil.methods import derived
from cup4soil.methods.forest import ForestParameters, QuantileForest
from cup4soil.methods.texture import class_keys, close
from producers.derive_rows import derive

N = 400
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 5))
PIXELS = RNG.normal(size=(40, 5))


def world(correlation: float) -> tuple[dict[str, np.ndarray], QuantileForest]:
    """SOC and bulk density whose unexplained parts go together as asked."""
    rng = np.random.default_rng(6)
    noise = rng.multivariate_normal((0, 0), [[1, correlation], [correlation, 1]], N)
    soc = np.exp(2.8 + 0.3 * X[:, 0] + 0.35 * noise[:, 0])
    density = 1.3 + 0.05 * X[:, 1] + 0.15 * noise[:, 1]
    rows = {"soc": soc, "bdod": density, "cfvo": rng.uniform(0, 15, N)}
    target = np.column_stack([np.log(soc), density])
    parameters = ForestParameters(trees=80, min_leaf=5, seed=3)
    return rows, QuantileForest.fit(X, target, np.column_stack([soc, density]), parameters, measure_importance=False)


def row_weights(forest: QuantileForest) -> np.ndarray:
    return np.array([p.mean for p in forest.with_reported(np.eye(N)).predict_all(PIXELS, ())]).T


def stock(rows: dict[str, np.ndarray], forest: QuantileForest) -> np.ndarray:
    found = derive(forest, rows, indicator("ocs"), indicator("ocs").settings({}, 30.0))
    return found.of_values.predict(PIXELS).quantiles


def test_a_stock_is_the_distribution_of_joint_draws() -> None:
    rows, forest = world(-0.8)
    quantiles = stock(rows, forest)
    rng = np.random.default_rng(0)
    for pixel, weight in enumerate(row_weights(forest)):
        drawn = rng.choice(N, 20_000, p=weight / weight.sum())
        draws = 0.01 * rows["soc"][drawn] * rows["bdod"][drawn] * 30 * (1 - rows["cfvo"][drawn] / 100)
        expected = np.quantile(draws, (0.05, 0.5, 0.95))
        spread = expected[2] - expected[0]
        np.testing.assert_allclose(quantiles[:, pixel], expected, atol=0.06 * spread)


def independent_width(rows: dict[str, np.ndarray], forest: QuantileForest) -> np.ndarray:
    """Width of the interval where SOC and bulk density are drawn each for itself."""
    rng = np.random.default_rng(1)
    widths = []
    for weight in row_weights(forest):
        one, other = (rng.choice(N, 20_000, p=weight / weight.sum()) for _ in range(2))
        draws = 0.01 * rows["soc"][one] * rows["bdod"][other] * 30 * (1 - rows["cfvo"][other] / 100)
        widths.append(np.subtract(*np.quantile(draws, (0.95, 0.05))))
    return np.array(widths)


@pytest.mark.parametrize(("correlation", "sign"), [(-0.9, -1), (0.9, 1)])
def test_properties_that_go_against_each_other_make_the_stock_surer(correlation: float, sign: int) -> None:
    rows, forest = world(correlation)
    quantiles = stock(rows, forest)
    joint = quantiles[2] - quantiles[0]
    change = np.mean(joint / independent_width(rows, forest)) - 1
    assert sign * change > 0.1


def test_class_probabilities_are_weights_and_sum_to_one() -> None:
    rows, forest = world(0.0)
    clay = np.clip(20 + 8 * X[:, 2], 2, 60)
    found = derive(forest, {**rows, "clay": clay}, indicator("pd"), {})
    shares = np.array([p.mean for p in found.of_classes.predict_all(PIXELS, ())])
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-9)
    density = rows["bdod"] + 0.009 * clay
    expected = row_weights(forest) @ np.column_stack(
        [density < 1.4, (density >= 1.4) & (density < 1.75), density >= 1.75]
    )
    np.testing.assert_allclose(shares.T, expected, atol=1e-9)


def test_the_error_of_a_function_widens_its_interval() -> None:
    rows, forest = world(0.0)
    texture = close(*(RNG.dirichlet([3, 4, 5], N).T * 100)).T
    rows |= dict(zip(("clay", "silt", "sand"), texture, strict=True))
    found = derive(forest, rows, indicator("awc"), indicator("awc").settings({}, 20.0))
    water = 200 * (1 - rows["cfvo"] / 100)
    plain = water * (
        derived.field_capacity(*texture[:2], rows["soc"] / 10) - derived.wilting_point(*texture[:2], rows["soc"] / 10)
    )
    alone = forest.with_reported(plain).predict(PIXELS).quantiles
    quantiles = found.of_values.predict(PIXELS).quantiles
    assert found.values.shape == (N, 8)
    assert found.values.min() >= 0
    gained = (quantiles[2] - quantiles[0]) ** 2 - (alone[2] - alone[0]) ** 2
    # 3.29 standard deviations make a normal 90 % interval; the widths add in squares.
    error = (3.29 * 0.0734 * np.mean(water)) ** 2
    assert np.median(gained) == pytest.approx(error, rel=0.3)


def test_texture_classes_have_no_values() -> None:
    rows, forest = world(0.0)
    shares = close(*(RNG.dirichlet([3, 4, 5], N).T * 100)).T
    rows |= dict(zip(("clay", "silt", "sand"), shares, strict=True))
    found = derive(forest, rows, indicator("texture-usda"), indicator("texture-usda").settings({}, None))
    assert found.of_values is None
    assert found.classes.shape == (N, 1)
    assert found.of_classes.outputs == len(class_keys("usda"))


def test_separate_models_are_refused_with_what_to_train() -> None:
    rows, forest = world(0.0)
    with pytest.raises(
        InvalidInput, match="needs soc, bdod from one model, and this one has no bdod; train soc, bdod j"
    ):
        derive(forest, {"soc": rows["soc"]}, indicator("ocs"), {"thickness": 30})


def test_rows_without_a_value_are_refused_and_counted() -> None:
    rows, forest = world(0.0)
    nitrogen = rows["soc"] / 10
    nitrogen[:7] = 0.05
    with pytest.raises(InvalidSamples, match="7 of 400 training rows have no carbon to nitrogen ratio"):
        derive(forest, {**rows, "nitrogen": nitrogen}, indicator("cn"), {"lod": 0.1})


@pytest.mark.parametrize("code", indicator_codes())
def test_every_indicator_computes_its_rows(code: str) -> None:
    rows, forest = world(0.0)
    shares = close(*(RNG.dirichlet([3, 4, 5], N).T * 100)).T
    rows |= dict(zip(("clay", "silt", "sand"), shares, strict=True))
    rows |= {"nitrogen": rows["soc"] / 11, "phh2o": RNG.uniform(4, 8, N), "ece": RNG.uniform(0, 20, N)}
    asked = indicator(code)
    found = derive(forest, rows, asked, asked.settings({}, 30.0))
    assert (found.values is None) == (asked.formula is None)
    assert (found.classes is None) == (asked.classes is None)
    assert asked.prop.valid_range[1] * asked.prop.factor <= 32767
    if found.values is not None:
        assert np.ptp(found.values) > 0
    if asked.classes is not None:
        assert len(asked.classes.keys) == len(set(asked.classes.keys)) == len(asked.classes.titles)
        assert set(np.unique(found.classes)) <= set(range(len(asked.classes.keys)))


def test_the_soil_law_is_data() -> None:
    rows, forest = world(0.0)
    clay = np.full(N, 20.0)
    rows["soc"][:2] = 15.0, 16.0
    rows["soc"][2] = 130.0
    asked = indicator("sml-carbon")
    found = derive(forest, {**rows, "clay": clay}, asked, asked.settings({}, None))
    # 1/13 of 200 g/kg clay is 15.4 g/kg carbon; above 12 % the soil is organic.
    assert found.classes[:3, 0].tolist() == [0, 1, 2]
    stricter = derive(forest, {**rows, "clay": clay}, asked, asked.settings({"correction": 1.1}, None))
    assert stricter.classes[1, 0] == 0


def test_rounded_textures_pass_and_missing_ones_are_counted() -> None:
    rows, forest = world(0.0)
    rows |= {"clay": np.full(N, 30.0), "silt": np.full(N, 70.4), "sand": np.full(N, 0.0)}
    water = derive(forest, rows, indicator("wv1500"), {}).values
    assert np.isfinite(water).all()
    rows["silt"][0] = 75.0
    with pytest.raises(InvalidInput, match=r"clay \+ silt of 105"):
        derive(forest, rows, indicator("wv1500"), {})
    organic = {**rows, "clay": np.where(np.arange(N) < 3, 0.0, 30.0), "silt": np.where(np.arange(N) < 3, 0.0, 60.0)}
    with pytest.raises(InvalidSamples, match="3 of 400 training rows have no soil erodibility"):
        derive(forest, organic, indicator("usle-k"), {"structure": 3.0})


def test_what_is_not_mapped_says_why() -> None:
    assert set(NOT_MAPPED) == {"respiration", "earthworms", "biodiversity", "sealing"}
    with pytest.raises(NotFound, match="Earthworms is not mapped; Abundance depends"):
        indicator("earthworms")
    with pytest.raises(NotFound, match="no indicator 'gold'; there are awc, cn"):
        indicator("gold")


@pytest.mark.parametrize(
    ("code", "given", "thickness", "problem"),
    [
        ("ocs", {}, None, "ocs needs a depth interval"),
        ("cn", {"lod": -1}, None, "lod of -1 g/kg"),
        ("ocs", {"lod": 1}, 30.0, "no parameter 'lod'; it has none"),
        ("lime", {"target": 9}, None, "target of 9 pH"),
    ],
)
def test_parameters_are_checked(code: str, given: dict[str, float], thickness: float | None, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        indicator(code).settings(given, thickness)


def test_rasters_of_soil_loss() -> None:
    factors = indicator("soil-loss").factors
    for enough in ({"r", "c", "ls"}, {"r", "bare", "slope", "area"}, {"r", "c", "ls", "p"}):
        factors.check(frozenset(enough))
    for wrong, problem in (
        ({"c", "ls"}, "of r there is none"),
        ({"r", "c", "bare", "ls"}, "of c or bare there is bare, c"),
        ({"r", "c", "slope"}, "of ls or area with slope there is slope"),
        ({"r", "c", "ls", "gold"}, "no input raster 'gold'"),
    ):
        with pytest.raises(InvalidInput, match=problem):
            factors.check(frozenset(wrong))
