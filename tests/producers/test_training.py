"""Training: what a model's folder holds, that it can be repeated, and what is refused."""

import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pytest

from cup4soil.errors import InvalidInput, InvalidSamples, LicenceConflict, NotFound, StoreError
from cup4soil.grids import parse_crs
from cup4soil.methods.features import Encoding
from cup4soil.products import ProductRecord
from cup4soil.progress import Silent
from cup4soil.properties import SoilProperty
from cup4soil.soil_models import ARRAYS_FILE, DESCRIPTION_FILE, load_model
from cup4soil.soil_outputs import Transform
from producers.coordinates import metric_coordinates, unit_name
from producers.jobs import deliver
from producers.prediction import PredictRequest, plan_prediction
from producers.training import plan_training
from producers.training_request import with_factor
from tests.producers.soil_world import SETTINGS, World, make_world, without_plots


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def train(world: World, folder: Path, *, plots: bool = False, **changes: Any) -> ProductRecord:
    with nullcontext() if plots else without_plots():
        return deliver(plan_training(world.request(**changes), SETTINGS), folder, None, Silent()).record


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    train(world, folder, plots=True, log=True)
    return folder


@pytest.fixture(scope="module")
def report(trained: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trained / "report.json").read_text())
    return found


def test_the_model_finds_what_the_landscape_was_made_of(report: dict[str, Any]) -> None:
    validation = report["validation"]
    assert 0.6 < validation["random"]["reported"]["mec"] < 1
    assert 0.4 < validation["spatial"]["reported"]["mec"] < 1
    assert 0.8 < validation["random"]["reported"]["picp90"] <= 1
    assert max(report["importance"], key=report["importance"].get) == "height"
    assert sum(report["importance"].values()) == pytest.approx(1, abs=1e-5)


def test_both_validations_are_told_on_both_scales(report: dict[str, Any]) -> None:
    for kind in ("random", "spatial"):
        found = report["validation"][kind]
        assert found["reported"]["n"] == found["modelled"]["n"] == report["samples"]["samples"]
        assert found["coverage"]["interval_levels"][0] == 0.05
        assert found["coverage"]["interval_levels"][-1] == 0.99
    assert report["validation"]["random"]["reported"]["rmse"] > report["validation"]["random"]["modelled"]["rmse"]


def test_every_row_of_the_table_is_accounted_for(report: dict[str, Any]) -> None:
    samples = report["samples"]
    assert samples["excluded"] == {"below-detection": 1, "inverted-depth": 1}
    assert {each["code"] for each in samples["excluded_rows"]} == set(samples["excluded"])
    told = samples["rows_used"] + samples["rows_outside_interval"] + len(samples["excluded_rows"])
    assert told == samples["rows_in_file"]
    assert "below the limit of detection" in samples["warnings"][0]


def test_the_record_counts_the_rows_as_the_report_does(trained: Path, report: dict[str, Any]) -> None:
    record = load_model(trained).record
    (source,) = (source for source in record.sources if source.role == "samples")
    assert source.properties == {name: report["samples"][name] for name in source.properties}
    assert set(source.properties) == {"rows_in_file", "rows_used", "rows_outside_interval", "samples", "excluded"}
    assert set(report["samples"]["warnings"]) < set(record.limitations)


def test_what_is_wrong_with_most_rows_is_a_limitation_of_model_and_map(world: World, tmp_path: Path) -> None:
    lines = world.samples.read_text().splitlines()
    bad = ["bad,20,0,1.0,500700,5799500,0,0"] * len(lines)
    poor = World(world.covariates, tmp_path / "poor.csv")
    poor.samples.write_text("\n".join(lines + bad) + "\n")
    record = train(poor, tmp_path / "m", trees=10)
    loud = [note for note in record.limitations if note.startswith("More than half of the rows cannot be used")]
    assert len(loud) == 1
    request = PredictRequest(model=tmp_path / "m", covariates=(world.covariates,))
    soil_map = deliver(plan_prediction(request, SETTINGS), tmp_path / "map", None, Silent()).record
    assert loud[0] in soil_map.limitations
    assert any("below the limit of detection" in note for note in soil_map.limitations)


def test_the_record_tells_origin_quality_and_limits(trained: Path) -> None:
    record = load_model(trained).record
    assert (record.kind, record.collection, record.property_code, record.depth) == ("model", "models", "soc", "0-20cm")
    assert {source.role for source in record.sources} == {"samples", "covariate"}
    supports = {measure.support for measure in record.quality if measure.name == "RMSE"}
    assert len(supports) == 3
    assert sum(support.startswith("3-fold cross-validation, spatial blocks of") for support in supports) == 2
    assert {m.name for m in record.quality} >= {"RMSE", "ME", "MEC", "CCC", "PICP90", "RMSE (scale modelled)"}
    assert any("time of training" in note for note in record.limitations)
    assert any("model" in document.roles for document in record.documents)
    assert all((trained / name).is_file() for name in record.files)


def test_no_file_of_the_model_tells_where_it_was_made(trained: Path, world: World) -> None:
    for name in ("model.json", "report.json", "report.html", "product.json"):
        assert str(world.samples.parent) not in (trained / name).read_text()


def test_the_report_needs_nothing_from_elsewhere(trained: Path) -> None:
    page = lxml.html.parse(str(trained / "report.html")).getroot()
    links = [
        value
        for element in page.iter()
        for key, value in element.attrib.items()
        if key in ("src", "href", "xlink:href")
    ]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not page.xpath("//script | //link | //iframe | //img")
    assert not re.search(r"url\((?!#)|@import", (trained / "report.html").read_text())
    drawings = page.xpath("//figure//*[local-name() = 'svg']")
    assert drawings
    assert all(each.get("role") == "img" and each.get("aria-label") for each in drawings)


def test_the_report_lists_the_excluded_rows(trained: Path) -> None:
    text = lxml.html.parse(str(trained / "report.html")).getroot().text_content()
    assert "horizon 20-0 cm is upside down" in text
    assert "oc is '< LOD', below what was detected" in text


def test_names_and_units_are_text_in_the_report(world: World, tmp_path: Path) -> None:
    table = world.samples.read_text().replace("oc", r"<script>$\x$", 1)
    odd = World(world.covariates, tmp_path / "<i>$s$.csv")
    odd.samples.write_text(table)
    train(odd, tmp_path / "m", target=r"<script>$\x$", property_code=None, unit="$g", trees=5, plots=True)
    page = lxml.html.parse(str(tmp_path / "m" / "report.html")).getroot()
    assert not page.xpath("//script | //i")
    assert r"predicted <script>$\x$ ($g)" in page.text_content()


def test_a_second_training_gives_the_same_bytes(world: World, trained: Path, tmp_path: Path) -> None:
    train(world, tmp_path / "again", plots=True, log=True)
    for name in ("model.npz", "model.json", "report.json", "report.html", "overview.png"):
        assert (tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes(), name


def test_a_rerun_finds_its_own_result(world: World, trained: Path) -> None:
    before = (trained / "product.json").read_bytes()
    delivery = deliver(plan_training(world.request(log=True), SETTINGS), trained, None, Silent())
    assert not delivery.made
    assert (trained / "product.json").read_bytes() == before


def test_the_id_follows_from_content_and_not_from_place(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.samples.parent, tmp_path / "moved")
    moved = World(tmp_path / "moved" / "covariates", tmp_path / "moved" / "samples.csv")
    first = plan_training(world.request(), SETTINGS).id
    assert plan_training(moved.request(title="other title"), SETTINGS).id == first
    assert plan_training(moved.request(seed=1), SETTINGS).id != first
    with moved.samples.open("a") as table:
        table.write("X,0,20,1.0,500600,5799500,0,0\n")
    assert plan_training(moved.request(), SETTINGS).id != first
    assert re.fullmatch(r"model-soc-0-20cm-[0-9a-f]{12}", first)


@pytest.mark.parametrize("terms", [{"licence": "CC-BY-SA-4.0"}, {"licence": "CC0-1.0"}, {"attribution": "the team"}])
def test_corrected_terms_make_another_model(world: World, terms: dict[str, str]) -> None:
    assert plan_training(world.request(**terms), SETTINGS).id != plan_training(world.request(), SETTINGS).id


def test_another_data_policy_makes_another_model_and_map(world: World, tmp_path: Path) -> None:
    open_policy = SETTINGS.model_copy(update={"data_policy": "CC-BY-4.0"})
    job = plan_training(world.request(trees=5), open_policy)
    assert job.id != plan_training(world.request(trees=5), SETTINGS).id
    with without_plots():
        deliver(job, tmp_path / "open", None, Silent())
    request = PredictRequest(model=tmp_path / "open", covariates=(world.covariates,))
    ids = {plan_prediction(request, SETTINGS).id, plan_prediction(request, open_policy).id}
    assert len(ids) == 2


def test_a_rerun_with_a_licence_does_not_find_the_old_model(world: World, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "m")
    with pytest.raises(StoreError, match="holds another product"):
        train(world, tmp_path / "m", log=True, licence="CC-BY-SA-4.0", attribution="X")


def test_features_from_the_table_train_a_model(world: World, tmp_path: Path) -> None:
    record = train(world, tmp_path / "m", covariates=(), categorical=(), features=("height", "wet"), trees=15)
    model = load_model(tmp_path / "m")
    assert model.description.covariates == ("height", "wet")
    assert record.algorithm.parameters["covariates"] == ["height", "wet"]
    assert [source.role for source in record.sources] == ["samples"]


def test_a_column_without_property_code_gives_a_general_property(world: World, tmp_path: Path) -> None:
    record = train(world, tmp_path / "m", property_code=None, upper=None, lower=None, depth=None, id=None, trees=15)
    model = load_model(tmp_path / "m")
    assert (model.description.codes, record.property_code) == (("oc",), None)
    prop = model.output().soil_property.to_property()
    assert (prop.unit, prop.factor) == ("%", 1000)


@pytest.mark.parametrize(("largest", "factor"), [(3.2, 1000), (40, 100), (400, 10), (32_767, 1), (0.0, 1000)])
def test_a_general_property_gets_the_finest_factor_that_fits(largest: float, factor: int) -> None:
    prop = SoilProperty("x", "x", "mg", "mg", 1, (-1e12, 1e12), {"mg": 1.0})
    found = with_factor(prop, np.array([0.0, -largest]))
    assert found.factor == factor
    assert largest * found.factor <= 32_767


def test_values_too_large_for_a_map_are_refused() -> None:
    prop = SoilProperty("x", "x", "mg", "mg", 1, (-1e12, 1e12), {"mg": 1.0})
    with pytest.raises(InvalidSamples, match="too large for a map"):
        with_factor(prop, np.array([40_000.0]))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"covariates": ()}, InvalidInput, "neither covariates nor features"),
        ({"features": ("height",)}, InvalidInput, "both covariates and features"),
        ({"covariates": (), "features": ("oc",), "categorical": ()}, InvalidInput, "target and feature at once"),
        ({"covariates": (), "features": ("wet",)}, InvalidInput, "categorical 'land' is no feature"),
        ({"folds": 1}, InvalidInput, "1 folds"),
        ({"trees": 0}, InvalidInput, "0 trees"),
        ({"seed": -1}, InvalidInput, "seed -1"),
        ({"minimum_coverage": 0.0}, InvalidInput, "minimum coverage 0"),
        ({"texture_tolerance": 0.0}, InvalidInput, "texture tolerance 0"),
        ({"crs": "EPSG:nothing"}, InvalidInput, "no coordinate reference system"),
        ({"unit": "feet"}, InvalidInput, "soc cannot be given in 'feet'"),
        ({"property_code": "gold"}, NotFound, "no soil property 'gold'"),
        (
            {"property_code": None, "target": "clay"},
            InvalidInput,
            "has the name of a soil property; give --property clay",
        ),
        ({"property_code": None, "target": "%"}, InvalidInput, "gives no name to a map"),
        ({"samples": Path("none.csv")}, NotFound, "no samples at none.csv"),
        ({"covariates": (Path("none"),)}, NotFound, "no covariates at none"),
        ({"categorical": ("crop",)}, NotFound, "no covariate 'crop'"),
        ({"licence": "my-own"}, LicenceConflict, "it is not known what 'my-own' allows"),
    ],
)
def test_a_request_that_cannot_work_is_refused_before_any_work(
    world: World, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        plan_training(world.request(**changes), SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "SOC"}, "has no column 'SOC'; there are site, upper"),
        ({"categorical": ("noise",)}, "noise has"),
        ({"folds": 100}, "for 100 folds"),
        ({"crs": "EPSG:32631", "upper": None, "lower": None, "id": None}, "0 usable samples"),
    ],
)
def test_what_the_samples_do_not_allow_is_refused_and_nothing_stays(
    world: World, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((InvalidSamples, NotFound), match=re.escape(message)):
        train(world, tmp_path / "model", **changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("licence", "expected"),
    [(None, "CC-BY-NC-SA-4.0"), ("CC-BY-4.0", "CC-BY-NC-SA-4.0"), ("CC-BY-SA-4.0", "CC-BY-SA-4.0")],
)
def test_the_model_inherits_the_licence_of_the_samples(world: World, licence: str | None, expected: str) -> None:
    assert plan_training(world.request(licence=licence), SETTINGS).licence == expected


# Real samples


def test_real_carbon_profiles_reach_the_published_skill(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "cdsm-peterborough"
    real = World(folder / "covariates_20m", folder / "Analytical.csv")
    columns = {"target": "OC", "id": "SITE_ID", "upper": "UPPER", "lower": "LOWER", "crs": "EPSG:26917"}
    train(real, tmp_path / "m", **columns, categorical=("crop2016",), log=True, folds=10, trees=60)
    validation = json.loads((tmp_path / "m" / "report.json").read_text())["validation"]
    assert 0.5 < validation["random"]["modelled"]["mec"] < 0.75
    assert 0.3 < validation["random"]["reported"]["mec"] < 0.6
    assert validation["random"]["reported"]["n"] == 94


def test_real_spectra_of_a_bare_date_reach_the_published_skill(tmp_path: Path) -> None:
    import LimeSoDa

    data = LimeSoDa.load_dataset("BB.250")
    data["Dataset"].join(data["Coordinates"]).to_csv(tmp_path / "bb250.csv", index=False)
    bands = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    place = {"x": "x_25833", "y": "y_25833", "crs": "EPSG:25833", "id": None, "upper": None, "lower": None}
    field = World(tmp_path, tmp_path / "bb250.csv")
    record = train(
        field, tmp_path / "m", **place, target="SOC_target", covariates=(), categorical=(), features=bands, folds=5,
        trees=60, licence="CC-BY-SA-4.0",
    )  # fmt: skip
    mec = {measure.support.split(", ")[1]: measure.value for measure in record.quality if measure.name == "MEC"}
    assert 0.75 < mec["random folds"] < 0.9
    assert record.licence == "CC-BY-SA-4.0"


# Reading a model that is not what it should be


def damaged(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **changes: Any) -> None:
    path = folder / DESCRIPTION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 1}, "has format version 1; this version reads 3; train the model again"),
        ({"features": ["height"]}, "its features do not follow from its covariates"),
        ({"outputs": []}, "outputs"),
        ({"depths_cm": [[0, 5]]}, "its features do not follow from its covariates"),
        ({"depth_cm": [20, 0]}, "depth 20-0 cm is no interval"),
        ({"stratum": "height"}, "its stratum 'height' is none of its classes"),
        ({"form": "one"}, "its forest is not of the form 'one'"),
        ({"covariates": []}, "covariates"),
        ({"id": "model-other"}, "it holds model-other"),
        ({"arrays_checksum": "sha256:00"}, "is not the file that model.json describes"),
        ({"extra": 1}, "extra"),
        ({"applicability_threshold": 9.0}, "model.json states the threshold 9 where the arrays give"),
        ({"samples": "many", "crs": 5}, "is damaged: crs: Input should be a valid string; train the model again"),
    ],
)
def test_a_contradicting_description_is_refused(
    trained: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = damaged(trained, tmp_path)
    edit(folder, **changes)
    with pytest.raises(InvalidInput, match=re.escape(message)):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform": {"name": "ln"}}, "ln needs a positive floor"),
        ({"transform": {"name": "exec"}}, "transform.name"),
        ({"calibrated": "maybe"}, "calibrated"),
        ({"verdict": "no-skill"}, "verdict no-skill contradicts"),
    ],
)
def test_a_contradicting_output_is_refused(
    trained: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = damaged(trained, tmp_path)
    (output,) = json.loads((folder / DESCRIPTION_FILE).read_text())["outputs"]
    edit(folder, outputs=[output | changes])
    with pytest.raises(InvalidInput, match=re.escape(message)):
        load_model(folder)


def test_a_property_told_twice_or_without_its_column_is_refused(trained: Path, tmp_path: Path) -> None:
    folder = damaged(trained, tmp_path)
    (output,) = json.loads((folder / DESCRIPTION_FILE).read_text())["outputs"]
    edit(folder, outputs=[output, output | {"calibrated": False}])
    with pytest.raises(InvalidInput, match="it reports a property twice"):
        load_model(folder)


def test_a_description_that_is_no_json_is_refused(trained: Path, tmp_path: Path) -> None:
    folder = damaged(trained, tmp_path)
    (folder / DESCRIPTION_FILE).write_bytes(b"\xff{")
    with pytest.raises(InvalidInput, match="is damaged"):
        load_model(folder)


@pytest.mark.parametrize("name", [DESCRIPTION_FILE, ARRAYS_FILE, "product.json"])
def test_a_file_that_must_not_be_read_is_named(trained: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("read_bytes", "open"):
        original = getattr(Path, method)

        def refuse(path: Path, *given: Any, original: Any = original, **more: Any) -> Any:
            if path.name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return original(path, *given, **more)

        monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(InvalidInput, match=re.escape(f"{trained / name} cannot be read: Permission denied")):
        load_model(trained)


def test_samples_that_must_not_be_read_are_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidInput, match=r"samples\.csv cannot be read: Permission denied"):
        plan_training(world.request(covariates=(), categorical=(), features=("wet",)), SETTINGS)


def test_a_truncated_or_changed_array_file_is_refused(trained: Path, tmp_path: Path) -> None:
    folder = damaged(trained, tmp_path)
    content = (folder / ARRAYS_FILE).read_bytes()
    (folder / ARRAYS_FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match="is not the file"):
        load_model(folder)


def reseal(folder: Path) -> None:
    """Make the description agree with the arrays, as one who tampers would."""
    from cup4soil.products import file_checksum

    edit(folder, arrays_checksum=file_checksum(folder / ARRAYS_FILE))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18, b"no archive"])
def test_a_file_that_holds_no_arrays_is_refused(trained: Path, tmp_path: Path, content: bytes) -> None:
    folder = damaged(trained, tmp_path)
    (folder / ARRAYS_FILE).write_bytes(content)
    reseal(folder)
    with pytest.raises(InvalidInput):
        load_model(folder)


def test_pickled_objects_are_not_loaded(trained: Path, tmp_path: Path) -> None:
    folder = damaged(trained, tmp_path)
    arrays = dict(np.load(folder / ARRAYS_FILE))
    name = next(iter(arrays))
    np.savez(folder / ARRAYS_FILE, **(arrays | {name: np.array([object()])}), allow_pickle=True)
    reseal(folder)
    with pytest.raises(InvalidInput, match="allow_pickle"):
        load_model(folder)


def test_arrays_of_another_model_are_refused(world: World, trained: Path, tmp_path: Path) -> None:
    train(world, tmp_path / "other", covariates=(), categorical=(), features=("height", "wet"), trees=5)
    folder = damaged(trained, tmp_path)
    shutil.copy(tmp_path / "other" / ARRAYS_FILE, folder / ARRAYS_FILE)
    reseal(folder)
    with pytest.raises(InvalidInput, match="its arrays are not for 5 features"):
        load_model(folder)


def test_a_tampered_tree_is_refused(trained: Path, tmp_path: Path) -> None:
    folder = damaged(trained, tmp_path)
    arrays = dict(np.load(folder / ARRAYS_FILE))
    indices = [name for name, array in arrays.items() if name.startswith("forest.") and array.dtype.kind in "iu"]
    assert len(indices) >= 3
    for name in indices:
        broken = arrays[name].copy()
        broken.flat[-1] = 10**6
        np.savez_compressed(folder / ARRAYS_FILE, **(arrays | {name: broken}))
        reseal(folder)
        with pytest.raises(InvalidInput):
            load_model(folder)


@pytest.mark.parametrize("missing", [DESCRIPTION_FILE, ARRAYS_FILE, "product.json"])
def test_an_incomplete_model_is_refused(trained: Path, tmp_path: Path, missing: str) -> None:
    folder = damaged(trained, tmp_path)
    (folder / missing).unlink()
    with pytest.raises(InvalidInput, match=r"give (a|the) folder"):
        load_model(folder)


# Parts


def test_classes_become_one_column_for_each_level() -> None:
    values = np.array([[1.5, 7], [2.5, 3], [3.5, 7]], dtype=np.float32)
    encoding = Encoding.fit(("a", "land"), {"land"}, values)
    features, unseen = encoding.encode(np.array([[9, 3], [8, 7], [7, 5]], dtype=np.float32))
    assert encoding.features == ("a", "land=3", "land=7")
    np.testing.assert_array_equal(features, [[9, 1, 0], [8, 0, 1], [7, 0, 0]])
    assert unseen.tolist() == [False, False, True]


def test_zeros_have_a_place_on_the_logarithmic_scale() -> None:
    assert Transform(name="ln", floor=0.5).apply(np.array([0.0, 0.5, 1.0])).tolist() == [np.log(0.5), np.log(0.5), 0.0]


def test_degrees_become_metres_for_the_spatial_blocks() -> None:
    x, y = metric_coordinates(np.array([13.0, 13.01]), np.array([52.0, 52.0]), parse_crs("EPSG:4326"))
    assert np.hypot(*np.diff([x, y]))[0] == pytest.approx(686.4, rel=1e-2)


@pytest.mark.parametrize(
    ("crs", "length", "name"),
    [("EPSG:32633", 1.0, "m"), ("EPSG:2263", 1200 / 3937, "US survey foot"), ("EPSG:4326", None, "degrees")],
)
def test_feet_become_metres_for_the_spatial_blocks(crs: str, length: float | None, name: str) -> None:
    assert unit_name(parse_crs(crs)) == name
    if length is not None:
        x, y = metric_coordinates(np.array([0.0, 1000.0]), np.array([10.0, 10.0]), parse_crs(crs))
        np.testing.assert_allclose([x, y], [[0, 1000 * length], [10 * length] * 2])
