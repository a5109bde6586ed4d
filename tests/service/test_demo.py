"""The demo on a small landscape: the whole chain, twice."""

import json

import pystac

from cup4soil.progress import Silent
from cup4soil.settings import Settings
from service.cli import run
from service.demo import run_demo
from stac_catalog.validation import validate_catalog


def test_demo_tells_how_close_it_came(demo):
    assert demo.score.composited_share > 0.6
    assert demo.score.soc.mec > 0.3
    assert 0.7 < demo.score.soc.coverage90 <= 1.0


def test_everything_says_that_it_is_simulated_and_inherits_the_licence(demo):
    for item in pystac.Catalog.from_file(str(demo.catalog)).get_items(recursive=True):
        assert item.properties["license"] == "CC-BY-SA-4.0"
        if item.collection_id not in ("models", "validation-sites"):
            assert item.properties["cup4soil:simulated"] is True
            assert "imulated" in item.properties["title"] + item.properties["description"]
    assert validate_catalog(demo.catalog.parent) == []


def test_composite_leads_to_its_scenes(demo):
    composite = next(pystac.Catalog.from_file(str(demo.catalog)).get_child("bare-soil-composites").get_items())
    scenes = [link.resolve_stac_object().target for link in composite.links if link.rel == "derived_from"]
    assert len(scenes) == len(demo.composite.record.sources) - 1  # the land cover is a source, too
    assert all("simulated" in scene.collection_id for scene in scenes)


def test_rerun_finds_everything(demo, capsys):
    store = demo.catalog.parents[1]
    # Readers of a database of SQLite touch the index of its log.
    changing = ("score.json", ".sqlite-shm")
    files = (path for path in store.rglob("*") if path.is_file() and not path.name.endswith(changing))
    before = {path: path.stat().st_mtime_ns for path in files}
    assert run(["demo", "--store", str(store), "--size", "120", "--no-serve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["products"]["soc"] == demo.soil_map.record.id
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_fresh_store_gives_the_same_ids_and_pixels(demo, tmp_path):
    again = run_demo(tmp_path / "store", Settings(threads=1, block_memory_mib=64), Silent(), size=120)
    assert all(delivery.made for delivery in again.deliveries)
    for one, two in zip(demo.deliveries, again.deliveries, strict=True):
        assert one.record.id == two.record.id
        for layer in one.record.layers:
            assert (one.folder / layer.file).read_bytes() == (two.folder / layer.file).read_bytes()
    assert again.score == demo.score
