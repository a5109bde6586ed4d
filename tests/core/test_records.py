"""Records, identities and licences."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.crs import CRS
from pydantic import ValidationError

from cup4soil.errors import InvalidInput, LicenceConflict, NotFound, StoreError
from cup4soil.grids import Bounds, aligned_geobox
from cup4soil.licences import derived_licence, licence_url
from cup4soil.products import (
    Algorithm,
    Extent,
    Period,
    ProductRecord,
    Source,
    file_checksum,
    product_id,
    read_record,
)

ALGORITHM = Algorithm(name="a", version="1", title="A", description="", parameters={"x": 1})


def source(name: str, **more) -> Source:
    return Source(role="scene", id=name, **more)


def record(**more) -> ProductRecord:
    box = aligned_geobox(Bounds(600_000, 5_000_000, 600_200, 5_000_100), CRS("EPSG:32632"), 20)
    day = datetime(2021, 1, 1, tzinfo=UTC)
    given = {
        "id": "p-1", "collection": "c", "kind": "composite", "title": "T", "abstract": "A", "licence": "CC-BY-4.0",
        "period": Period(start=day, end=day), "extent": Extent.of_grid(box), "algorithm": ALGORITHM,
        "sources": (source("s"),),
    }  # fmt: skip
    return ProductRecord(**(given | more))


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6, unique=True), st.randoms())
def test_identity_ignores_the_order_of_sources(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    assert product_id("p", ALGORITHM, map(source, names)) == product_id("p", ALGORITHM, map(source, shuffled))


def test_identity_follows_origin_and_nothing_else():
    base = product_id("p", ALGORITHM, [source("s", checksum="sha256:1")])
    assert base == product_id("p", ALGORITHM, [source("s", checksum="sha256:1", href="elsewhere", title="t")])
    assert base != product_id("p", ALGORITHM, [source("s", checksum="sha256:2")])
    assert base != product_id("p", ALGORITHM.model_copy(update={"version": "2"}), [source("s", checksum="sha256:1")])
    assert base != product_id(
        "p", ALGORITHM.model_copy(update={"parameters": {"x": 2}}), [source("s", checksum="sha256:1")]
    )


def test_record_survives_its_file(tmp_path):
    one = record()
    one.write(tmp_path)
    assert read_record(tmp_path) == one


@pytest.mark.parametrize("terms", [{"licence": "CC-BY-SA-4.0"}, {"attribution": "the field team"}])
def test_other_terms_of_a_source_make_another_product(terms):
    given = {"checksum": "sha256:1", "licence": "CC-BY-4.0", "attribution": "someone"}
    assert product_id("p", ALGORITHM, [source("s", **given)]) != product_id(
        "p", ALGORITHM, [source("s", **(given | terms))]
    )


def test_a_damaged_record_is_told_in_one_short_line(tmp_path):
    (tmp_path / "product.json").write_text('{"id": 3, "kind": "painting", "extent": []}')
    with pytest.raises(StoreError) as caught:
        read_record(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'product.json'} is damaged: id: Input should be a valid string; make the product again"
    )


def test_a_file_that_must_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "product.json").write_text("{}")

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StoreError, match=r"product\.json cannot be read: Permission denied"):
        read_record(tmp_path)
    with pytest.raises(InvalidInput, match=r"product\.json cannot be read: Permission denied"):
        file_checksum(tmp_path / "product.json")


def test_missing_and_damaged_records(tmp_path):
    with pytest.raises(NotFound, match=r"product\.json"):
        read_record(tmp_path)
    (tmp_path / "product.json").write_text('{"id": 3}')
    with pytest.raises(StoreError, match="damaged"):
        read_record(tmp_path)


@pytest.mark.parametrize("name", ["../up", "A", "a/b", "", ".hidden"])
def test_ids_are_safe_as_file_names(name):
    with pytest.raises(ValidationError):
        record(id=name)
    with pytest.raises(ValidationError):
        record(collection=name)


def test_period_in_order_and_with_zone():
    day, later = datetime(2021, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)
    with pytest.raises(ValidationError, match="after its end"):
        Period(start=later, end=day)
    with pytest.raises(ValidationError, match="zone"):
        Period(start=datetime(2021, 1, 1), end=day)


def test_layer_by_name():
    with pytest.raises(NotFound, match="no layer"):
        record().layer("mean")


def test_checksum(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_checksum(tmp_path / "f") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([], "CC-BY-NC-SA-4.0"),
        ([None, "Copernicus-Sentinel"], "CC-BY-NC-SA-4.0"),
        (["CC-BY-SA-4.0", "Copernicus-Sentinel"], "CC-BY-SA-4.0"),
        (["CC-BY-4.0", "CC0-1.0"], "CC-BY-NC-SA-4.0"),
        (["CC-BY-NC-4.0"], "CC-BY-NC-SA-4.0"),
    ],
)
def test_licence_follows_the_sources(sources, expected):
    assert derived_licence(sources) == expected


@pytest.mark.parametrize("sources", [["CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"], ["CC-BY-SA-4.0", "CC-BY-NC-4.0"], ["LUCAS"]])
def test_licences_that_cannot_be_combined(sources):
    with pytest.raises(LicenceConflict):
        derived_licence(sources)


def test_licence_text():
    assert licence_url("CC-BY-SA-4.0") == "https://creativecommons.org/licenses/by-sa/4.0/"
    assert licence_url("proprietary") is None
