"""Items as stac-geoparquet, read back by others."""

import json
from pathlib import Path

import geopandas
import pyarrow.parquet as pq
import pystac
import pytest
from stac_geoparquet.arrow import stac_table_to_items

from cup4soil.errors import NoData, NotFound, StoreError
from cup4soil.settings import Settings
from stac_catalog.destinations import FolderDestination
from stac_catalog.geoparquet import write_geoparquet
from stac_catalog.mirror import Mirror
from stac_catalog.mirror_documents import Form
from stac_catalog.store import Store
from stac_catalog.validation import schema_errors
from tests.catalog.conftest import Filled, Made

FREE = ("cup4soil:parameters", "cup4soil:training_data", "mlm:hyperparameters", "mlm:input", "mlm:output")


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        kept = {name: without_nulls(member) for name, member in value.items() if member is not None}
        return {name: member for name, member in kept.items() if member != {}}
    if isinstance(value, str):
        return value.replace(".000000Z", "Z")  # times have microseconds there
    return [without_nulls(member) for member in value] if isinstance(value, list) else value


def test_items_come_back(filled: Filled, tmp_path: Path) -> None:
    out = tmp_path / "items.parquet"
    assert write_geoparquet(filled.catalog, None, out) == 4
    table = pq.read_table(out)
    back = {item["id"]: item for item in stac_table_to_items(table)}
    for made in filled.products.values():
        name, collection = made.record.id, made.record.collection
        wanted = json.loads((filled.catalog / collection / name / f"{name}.json").read_text())
        found = back[name]
        assert found["geometry"]["type"] == wanted["geometry"]["type"]
        assert found["bbox"] == pytest.approx(wanted["bbox"])
        assert set(found["assets"]) == set(wanted["assets"])
        for key, asset in wanted["assets"].items():
            assert found["assets"][key]["href"] == f"./{collection}/{name}/{asset['href'].removeprefix('./')}"
            assert found["assets"][key]["file:checksum"] == asset["file:checksum"]
        properties = found["properties"] | {
            name: json.loads(found["properties"][name]) for name in FREE if found["properties"].get(name)
        }
        for field, value in wanted["properties"].items():
            assert without_nulls(properties.get(field)) == without_nulls(value), field


def test_geopandas_reads_it(filled: Filled, tmp_path: Path) -> None:
    write_geoparquet(filled.catalog, ["soc-0-20cm"], tmp_path / "soc.parquet", base="https://soil.example/c/")
    frame = geopandas.read_parquet(tmp_path / "soc.parquet")
    record = filled.products["soil-map"].record
    assert list(frame["id"]) == [record.id]
    assert frame.crs.to_epsg() == 4326
    assert tuple(frame.total_bounds) == pytest.approx(record.extent.bbox)
    assert frame["start_datetime"].iloc[0] == record.period.start
    assert frame["assets"].iloc[0]["mean"]["href"] == f"https://soil.example/c/soc-0-20cm/{record.id}/mean.tif"


def test_is_streamed_in_row_groups_by_any_mix_of_items(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stac_catalog.geoparquet._GROUP", 1)
    assert write_geoparquet(filled.catalog, None, tmp_path / "x.parquet") == 4
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.metadata.num_row_groups == 4
    about = json.loads(file.schema_arrow.metadata[b"stac-geoparquet"])
    assert set(about["collections"]) == set(filled.store.collections())


def test_what_cannot_be_exported_is_said(filled: Filled, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(NotFound, match="no collection 'none'; choose among bare-soil-composites"):
        write_geoparquet(filled.catalog, ["none"], tmp_path / "x.parquet")
    empty = Store.open(tmp_path / "empty", settings)
    with pytest.raises(NoData, match="no items to export"):
        write_geoparquet(empty.catalog_path.parent, None, tmp_path / "x.parquet")
    with pytest.raises(StoreError):
        write_geoparquet(filled.catalog, None, tmp_path / "no" / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


def test_mirror_keeps_tables_in_step(filled: Filled, tmp_path: Path, settings: Settings, made: dict[str, Made]) -> None:
    store = Store.open(tmp_path / "store", settings)
    samples = made["samples"]
    destination, form = FolderDestination(tmp_path / "m"), Form(tables=True)
    for number in range(3):
        store.register(samples.record.model_copy(update={"id": f"s-{number}"}), samples.folder)
        Mirror(store, destination, form).run()
        collection = pystac.Collection.from_file(str(tmp_path / "m" / "samples" / "collection.json"))
        asset = collection.assets["items"]
        assert (asset.media_type, asset.roles) == ("application/vnd.apache.parquet", ["collection-mirror"])
        href = asset.get_absolute_href()
        assert href is not None
        rows = list(stac_table_to_items(pq.read_table(href)))
        assert [row["id"] for row in rows] == store.items("samples")
        assert (Path(href).parent / rows[0]["assets"]["metadata"]["href"]).is_file()
        assert list(schema_errors(collection.to_dict(include_self_link=False))) == []
    store.register(made["model"].record, made["model"].folder)
    before = (tmp_path / "m" / "samples" / "items.parquet").stat().st_ino
    Mirror(store, destination, form).run()
    assert (tmp_path / "m" / "samples" / "items.parquet").stat().st_ino == before
    for number in range(3):
        store.remove("samples", f"s-{number}")
    Mirror(store, destination, form).run()
    assert not (tmp_path / "m" / "samples").exists()
