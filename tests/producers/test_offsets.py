"""Radiometric offsets, on the metadata of real products."""

import json

import pytest

from cup4soil.errors import InvalidInput, MissingOffset
from producers.offsets import local_safe_metadata, processing_baseline, safe_offsets, scaling_of

REAL = {
    "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE": (2.12, 0.0),
    "esa_S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500.SAFE": (2.14, 0.0),
    "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE": (4.00, -1000.0),
    "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157.SAFE": (5.09, -1000.0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_items_and_their_product_metadata_agree(shared_data, name):
    folder = shared_data / "s2-safe-metadata" / name
    item = json.loads((folder / "expected_output.json").read_text())
    baseline, offset = REAL[name]
    assert processing_baseline(item["properties"]) == pytest.approx(baseline)
    stated = scaling_of("B02", item["assets"]["blue"], item["properties"], None, None)
    assert (stated.gain, stated.offset_dn, stated.origin) == (pytest.approx(1.0), offset, "asset")
    safe = safe_offsets(local_safe_metadata(item["assets"], folder))
    silent = {"href": "x"}
    found = scaling_of("B8A", silent, item["properties"], safe, None)
    assert (found.offset_dn, found.origin) == (offset, "product metadata")
    assert bool(safe) == (offset != 0.0)


def test_baseline_of_a_product_without_item(shared_data):
    folder = shared_data / "s2-safe-metadata" / "S2B_MSIL2A_20230122T231849_N0400_R087_T01UBT_20230124T042703.SAFE"
    offsets = safe_offsets(folder / "MTD_MSIL2A.xml")
    assert len(offsets) == 13
    assert set(offsets.values()) == {-1000.0}


def test_setting_stands_above_everything():
    asset = {"raster:offset": -0.1, "raster:scale": 0.0001}
    assert scaling_of("B02", asset, {}, {"B02": -500.0}, 0.0).offset_dn == 0.0


def test_applied_flag_stands_above_the_asset():
    asset = {"raster:bands": [{"offset": -0.1, "scale": 0.0001}]}
    assert scaling_of("B02", asset, {"earthsearch:boa_offset_applied": True}, None, None).offset_dn == 0.0
    assert scaling_of("B02", asset, {"earthsearch:boa_offset_applied": False}, None, None).offset_dn == -1000.0


@pytest.mark.parametrize(
    "asset",
    [
        {"raster:scale": 0.00005, "raster:offset": -0.1},
        {"bands": [{"raster:scale": 0.00005, "raster:offset": -0.1}]},
        {"raster:bands": [{"scale": 0.00005, "offset": -0.1}]},
    ],
)
def test_every_form_and_another_scale(asset):
    found = scaling_of("B02", asset, {}, None, None)
    reflectance = (4000 * found.gain + found.offset_dn) / 10_000
    assert reflectance == pytest.approx(4000 * 0.00005 - 0.1)


@pytest.mark.parametrize("properties", [{}, {"s2:processing_baseline": "04.00"}, {"s2:processing_baseline": "05.11"}])
def test_nothing_is_guessed(properties):
    with pytest.raises(MissingOffset, match="--boa-offset"):
        scaling_of("B02", {"raster:scale": 0.0001}, properties | {"datetime": "2018-01-01"}, None, None)


def test_damaged_metadata(tmp_path):
    path = tmp_path / "MTD_MSIL2A.xml"
    path.write_text("<a>")
    with pytest.raises(InvalidInput, match="readable"):
        safe_offsets(path)
    path.write_text("<a/>")
    with pytest.raises(InvalidInput, match="no Sentinel-2"):
        safe_offsets(path)
    with pytest.raises(InvalidInput, match="processing baseline"):
        processing_baseline({"s2:processing_baseline": "new"})


def test_entities_are_not_expanded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("-77")
    path = tmp_path / "MTD_MSIL2A.xml"
    path.write_text(
        f'<!DOCTYPE r [<!ENTITY x SYSTEM "file://{secret}">]>'
        '<n:Level-2A_User_Product xmlns:n="n"><BOA_ADD_OFFSET band_id="1">&x;</BOA_ADD_OFFSET>'
        "</n:Level-2A_User_Product>"
    )
    assert safe_offsets(path).get("B02") != -77.0
