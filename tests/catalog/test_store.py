"""The store: opening, registering, finding, and keeping its index true."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cup4soil.errors import InvalidInput, NotFound, StoreError
from cup4soil.products import Measure, ProductRecord, read_record
from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.catalog import products
from tests.catalog.conftest import Filled, Made, hidden, tree


def listed(store: Store) -> dict[str, list[str]]:
    """What the files of the index say."""
    root = store.catalog_path.parent
    children = [link["href"] for link in json.loads(store.catalog_path.read_text())["links"] if link["rel"] == "child"]
    return {
        json.loads((root / href).read_text())["id"]: [
            Path(link["href"]).stem for link in json.loads((root / href).read_text())["links"] if link["rel"] == "item"
        ]
        for href in children
    }


def on_disk(store: Store) -> dict[str, list[str]]:
    return {collection: store.items(collection) for collection in store.collections()}


@pytest.fixture
def copy(filled: Filled, tmp_path: Path, settings: Settings) -> Store:
    """A store of one's own with one product of each kind."""
    shutil.copytree(filled.store.root, tmp_path / "copy")
    return Store.open(tmp_path / "copy", settings)


class TestOpen:
    def test_new_store_has_an_empty_catalog(self, tmp_path: Path, settings: Settings) -> None:
        store = Store.open(tmp_path / "a" / "b", settings)
        assert store.collections() == []
        assert listed(store) == {}
        assert json.loads(store.catalog_path.read_text())["title"] == "Soil products of Soil Survey"

    def test_empty_folder_becomes_a_store(self, tmp_path: Path, settings: Settings) -> None:
        assert Store.open(tmp_path, settings).catalog_path == tmp_path / "catalog" / "catalog.json"

    def test_again_finds_the_same(self, copy: Store, settings: Settings) -> None:
        before = tree(copy.root)
        again = Store.open(copy.root, settings, create=False)
        assert on_disk(again) == on_disk(copy)
        assert tree(copy.root) == before

    def test_no_store_is_made_unasked(self, tmp_path: Path, settings: Settings) -> None:
        with pytest.raises(NotFound, match="no store in"):
            Store.open(tmp_path / "none", settings, create=False)
        assert not (tmp_path / "none").exists()

    def test_file_is_refused(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match="is a file"):
            Store.open(tmp_path / "file", settings)

    def test_below_a_file_is_refused(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match="a part of the path is a file"):
            Store.open(tmp_path / "file" / "store", settings)

    def test_folder_with_other_things_is_refused(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "thesis.txt").write_text("x")
        with pytest.raises(StoreError, match=r"no store and holds other files, such as thesis\.txt"):
            Store.open(tmp_path, settings)
        assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["thesis.txt"]

    @pytest.mark.parametrize("marker", ['{"format": "cup4soil-store", "version": 2}', "[]", "{", ""])
    def test_other_version_or_damaged_marker_is_refused(self, copy: Store, settings: Settings, marker: str) -> None:
        (copy.root / "store.json").write_text(marker)
        with pytest.raises(StoreError, match=r"this version reads|is damaged"):
            Store.open(copy.root, settings)

    def test_lost_catalog_folder_is_named(self, tmp_path: Path, settings: Settings) -> None:
        store = Store.open(tmp_path / "s", settings)
        shutil.rmtree(store.catalog_path.parent)
        with pytest.raises(StoreError, match="lost its folder catalog"):
            Store.open(tmp_path / "s", settings)


class TestRegister:
    def test_products_are_found(self, filled: Filled) -> None:
        for made in filled.products.values():
            folder = filled.store.find(made.record.collection, made.record.id)
            assert folder == filled.catalog / made.record.collection / made.record.id
            assert made.record.id in filled.store.items(made.record.collection)
        assert filled.store.collections() == ["bare-soil-composites", "models", "samples", "soc-0-20cm"]
        assert listed(filled.store) == on_disk(filled.store)

    def test_files_are_the_products_own(self, filled: Filled) -> None:
        for made in filled.products.values():
            folder = filled.catalog / made.record.collection / made.record.id
            for name in made.record.files:
                assert (folder / name).read_bytes() == (made.folder / name).read_bytes()

    def test_record_comes_back_without_local_paths(self, filled: Filled) -> None:
        for made in filled.products.values():
            back = filled.store.record(made.record.collection, made.record.id)
            plain = {"sources": ()}
            assert back.model_copy(update=plain) == made.record.model_copy(update=plain)
            assert [s.identity() for s in back.sources] == [s.identity() for s in made.record.sources]
        assert b"/home/somebody" not in b"".join(tree(filled.catalog).values())

    def test_nothing_hidden_is_left(self, filled: Filled) -> None:
        assert hidden(filled.catalog) == []

    def test_twice_changes_nothing(self, copy: Store, made: dict[str, Made]) -> None:
        catalog = copy.catalog_path.parent
        before = {path: path.stat().st_mtime_ns for path in catalog.rglob("*")}
        for each in made.values():
            assert copy.register(each.record, each.folder) == copy.find(each.record.collection, each.record.id)
        assert {path: path.stat().st_mtime_ns for path in catalog.rglob("*")} == before

    def test_fresh_store_is_the_same_to_the_byte(self, filled: Filled, tmp_path: Path, settings: Settings) -> None:
        other = Store.open(tmp_path / "other", settings)
        for each in filled.products.values():
            other.register(each.record, each.folder)
        assert tree(other.root) == tree(filled.store.root)

    def test_created_differs_only_where_it_is_said(self, filled: Filled, tmp_path: Path, settings: Settings) -> None:
        other = Store.open(tmp_path / "other", settings)
        later = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        for each in filled.products.values():
            other.register(each.record.model_copy(update={"created": later}), each.folder)
        mine, theirs = tree(filled.catalog), tree(other.catalog_path.parent)
        differing = {Path(name).name for name in mine if mine[name] != theirs[name]}
        items = {f"{each.record.id}.json" for each in filled.products.values()}
        assert mine.keys() == theirs.keys()
        assert differing == {"product.json", "metadata.xml"} | items

    def test_lineage_is_written_where_the_producer_has_none(self, filled: Filled) -> None:
        composite, soil_map = filled.products["composite"].record, filled.products["soil-map"].record
        own = json.loads((filled.catalog / composite.collection / composite.id / "lineage.json").read_text())
        assert own["statement"].startswith(
            "Made with SCMaP bare-soil composite (scmap 1.0.0) from 5 scenes of 2019-01-15 to"
        )
        assert own["sources"][4]["file"] == "S2A_4.json"
        theirs = json.loads((filled.catalog / soil_map.collection / soil_map.id / "lineage.json").read_text())
        assert theirs == {"made": "by hand"}

    def test_subfolders_are_kept(self, tmp_path: Path, settings: Settings) -> None:
        record = products.samples(tmp_path / "p")
        (tmp_path / "p" / "deep").mkdir()
        (tmp_path / "p" / "samples-report.json").rename(tmp_path / "p" / "deep" / "report.json")
        document = record.documents[0].model_copy(update={"file": "deep/report.json"})
        moved = record.model_copy(update={"documents": (document,)})
        folder = Store.open(tmp_path / "s", settings).register(moved, tmp_path / "p")
        assert (folder / "deep" / "report.json").is_file()

    def test_missing_file_is_named(self, made: dict[str, Made], tmp_path: Path, settings: Settings) -> None:
        store = Store.open(tmp_path / "s", settings)
        with pytest.raises(NotFound, match=r"has no file SRC\.tif in"):
            store.register(made["composite"].record, tmp_path)
        assert store.collections() == []
        assert hidden(store.catalog_path.parent) == []

    @pytest.mark.parametrize(
        "file", ["../outside.json", "/etc/passwd", "product.json", "metadata.xml", "thumbnail.png", ".x"]
    )
    def test_file_names_outside_or_reserved_are_refused(self, tmp_path: Path, settings: Settings, file: str) -> None:
        record = products.samples(tmp_path / "p")
        for name in ("product.json", "metadata.xml", "thumbnail.png", ".x", "../outside.json"):
            (tmp_path / "p" / name).write_text("x")
        document = record.documents[0].model_copy(update={"file": file})
        store = Store.open(tmp_path / "s", settings)
        with pytest.raises(InvalidInput, match="name files within"):
            store.register(record.model_copy(update={"documents": (document,)}), tmp_path / "p")
        assert tree(store.catalog_path.parent).keys() == {"catalog.json"}

    @pytest.mark.parametrize(("change", "message"), [({"name": "metadata"}, "the register uses it"), ({}, "twice")])
    def test_names_taken_are_refused(
        self, tmp_path: Path, settings: Settings, change: dict[str, str], message: str
    ) -> None:
        record = products.samples(tmp_path / "p")
        documents = (record.documents[0], record.documents[0].model_copy(update=change))
        with pytest.raises(InvalidInput, match=message):
            Store.open(tmp_path / "s", settings).register(
                record.model_copy(update={"documents": documents}), tmp_path / "p"
            )

    def test_figure_that_is_not_finite_is_refused_and_leaves_nothing(self, tmp_path: Path, settings: Settings) -> None:
        record = products.samples(tmp_path / "p")
        measure = Measure(name="MEC", value=float("nan"), unit="1", description="", support="")
        store = Store.open(tmp_path / "s", settings)
        with pytest.raises(InvalidInput, match=r"measure 'MEC' of .* is nan"):
            store.register(record.model_copy(update={"quality": (measure,)}), tmp_path / "p")
        assert tree(store.catalog_path.parent).keys() == {"catalog.json"}
        assert hidden(store.catalog_path.parent) == []

    def test_broken_raster_is_refused_and_leaves_nothing(
        self, made: dict[str, Made], tmp_path: Path, settings: Settings
    ) -> None:
        shutil.copytree(made["composite"].folder, tmp_path / "p")
        (tmp_path / "p" / "SRC.tif").write_bytes(b"no raster")
        store = Store.open(tmp_path / "s", settings)
        with pytest.raises(InvalidInput, match="cannot be opened as a raster"):
            store.register(made["composite"].record, tmp_path / "p")
        assert [p.name for p in store.catalog_path.parent.iterdir()] == ["catalog.json"]


class TestLookup:
    def test_nothing_is_nothing(self, filled: Filled) -> None:
        assert filled.store.find("soc-0-20cm", "none") is None
        assert filled.store.items("none") == []
        with pytest.raises(NotFound, match="no item soc-0-20cm/none"):
            filled.store.record("soc-0-20cm", "none")

    @pytest.mark.parametrize("name", ["..", ".", "", "../..", "a/b", "A", ".part"])
    def test_names_that_are_none_lead_nowhere(self, filled: Filled, name: str) -> None:
        assert filled.store.find(name, name) is None
        assert filled.store.find("models", name) is None

    def test_folder_without_its_item_is_none(self, copy: Store, made: dict[str, Made]) -> None:
        record = made["model"].record
        (copy.root / "catalog" / "models" / record.id / f"{record.id}.json").unlink()
        assert copy.find("models", record.id) is None


class TestIndex:
    """After any loss or staleness, open, register and rebuild make the index say what is there."""

    def break_catalog(self, root: Path) -> None:
        (root / "catalog.json").unlink()

    def break_json(self, root: Path) -> None:
        (root / "catalog.json").write_text('{"links": [')

    def break_links(self, root: Path) -> None:
        (root / "models" / "collection.json").write_text('{"links": null}')

    def break_collection(self, root: Path) -> None:
        (root / "models" / "collection.json").unlink()

    def remove_item(self, root: Path) -> None:
        shutil.rmtree(next((root / "models").glob("*model*")))

    def leave_parts(self, root: Path) -> None:
        (root / ".catalog.json.part").write_text("half")
        (root / "models" / ".collection.json.part").write_text("half")
        (root / "models" / ".removed-x").mkdir()
        (root / "catalog.json").unlink()

    BREAKS = ("break_catalog", "break_json", "break_links", "break_collection", "remove_item", "leave_parts")

    @pytest.mark.parametrize("damage", BREAKS)
    def test_open_mends(self, copy: Store, settings: Settings, damage: str) -> None:
        getattr(self, damage)(copy.catalog_path.parent)
        assert listed(Store.open(copy.root, settings)) == on_disk(copy)
        assert hidden(copy.catalog_path.parent) == []

    @pytest.mark.parametrize("damage", BREAKS)
    def test_rebuild_mends(self, copy: Store, damage: str) -> None:
        getattr(self, damage)(copy.catalog_path.parent)
        copy.rebuild()
        assert listed(copy) == on_disk(copy)
        assert hidden(copy.catalog_path.parent) == []

    @pytest.mark.parametrize("damage", BREAKS[:5])
    def test_register_mends(self, copy: Store, damage: str, made: dict[str, Made]) -> None:
        getattr(self, damage)(copy.catalog_path.parent)
        copy.register(made["composite"].record, made["composite"].folder)
        assert listed(copy) == on_disk(copy)

    def test_rebuild_of_a_sound_store_changes_no_byte(self, copy: Store) -> None:
        before = tree(copy.root)
        copy.rebuild()
        assert tree(copy.root) == before

    def test_collection_without_items_goes(self, copy: Store, made: dict[str, Made]) -> None:
        self.remove_item(copy.catalog_path.parent)
        copy.rebuild()
        assert "models" not in listed(copy)
        assert not (copy.catalog_path.parent / "models" / "collection.json").exists()
        copy.register(made["model"].record, made["model"].folder)
        assert listed(copy) == on_disk(copy)
        assert "models" in listed(copy)

    def test_second_item_widens_the_collection(self, copy: Store, tmp_path: Path) -> None:
        other = products.composite(tmp_path / "other", left=4_421_000)
        copy.register(other, tmp_path / "other")
        collection = json.loads((copy.catalog_path.parent / other.collection / "collection.json").read_text())
        boxes = [copy.record(other.collection, each).extent.bbox for each in copy.items(other.collection)]
        west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
        assert len(boxes) == 2
        assert (west, south) == (min(b[0] for b in boxes), min(b[1] for b in boxes))
        assert (east, north) == (max(b[2] for b in boxes), max(b[3] for b in boxes))
        before = tree(copy.root)
        copy.rebuild()
        assert tree(copy.root) == before

    def test_damaged_record_is_named(self, copy: Store, made: dict[str, Made]) -> None:
        record = made["model"].record
        (copy.root / "catalog" / "models" / record.id / "product.json").write_text("{")
        with pytest.raises(StoreError, match="is damaged"):
            copy.rebuild()


def test_product_of_the_store_becomes_the_source_of_another(filled: Filled) -> None:
    record: ProductRecord = read_record(filled.catalog / "soc-0-20cm" / filled.products["soil-map"].record.id)
    model, composite = (filled.products[kind].record.id for kind in ("model", "composite"))
    assert [source.href for source in record.sources] == [
        f"../../models/{model}/{model}.json",
        f"../../bare-soil-composites/{composite}/{composite}.json",
    ]


def test_file_inside_the_store_is_given_relative(copy: Store, made: dict[str, Made], tmp_path: Path) -> None:
    composite = made["composite"].record
    inside = copy.root / "catalog" / composite.collection / composite.id / "SRC.tif"
    record = products.samples(tmp_path / "p")
    table = record.sources[0].model_copy(update={"href": str(inside), "role": "covariate", "id": "SRC.tif"})
    folder = copy.register(record.model_copy(update={"id": "samples-2", "sources": (table,)}), tmp_path / "p")
    href = copy.record("samples", "samples-2").sources[0].href
    assert href == f"../../{composite.collection}/{composite.id}/SRC.tif"
    assert (folder / href).resolve() == inside.resolve()
