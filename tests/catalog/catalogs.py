"""Static catalogs with many made-up items and no files, quick to write."""

import json
import random
from pathlib import Path
from typing import Any

from cup4soil.products import RECORD_FILE

type Item = dict[str, Any]


def items(count: int = 60, seed: int = 0) -> list[Item]:
    """Items of three collections, here and there, now and then; some lack a property, some cross 180 degrees."""
    rng = random.Random(seed)
    return [_item(number, rng) for number in range(count)]


def _item(number: int, rng: random.Random) -> Item:
    west, south = rng.uniform(-170, 160), rng.uniform(-80, 70)
    east, north = west + rng.uniform(0.1, 15), south + rng.uniform(0.1, 10)
    across = number % 15 == 14
    if across:
        west, east = 175.0, -172.0
    spans = [(west, 180.0), (-180.0, east)] if across else [(west, east)]
    # A triangle does not fill its box, so that box and shape are told apart.
    rings = [[[[w, south], [e, south], [w, north], [w, south]]] for w, e in spans]
    year, month = 2015 + rng.randrange(10), 1 + rng.randrange(12)
    properties: Item = {
        "title": rng.choice(["Alpha", "beta", "Gamma % ray", "delta_*"]),
        "datetime": None,
        "start_datetime": f"{year}-{month:02d}-01T00:00:00Z",
        "end_datetime": f"{year + rng.randrange(3)}-12-31T23:59:59Z",
        "created": f"2026-01-{1 + number % 28:02d}T12:00:00Z",
        "keywords": rng.sample(["soil", "map", "clay"], 2),
        "score": rng.choice([0, 1, 2.5, -3, 10]),
        "simulated": rng.random() < 0.5,
        "cup4soil:algorithm": {"name": rng.choice(["scmap", "forest"])},
    }
    if number % 4 == 0:
        del properties["score"]
    if number % 7 == 0:
        properties |= {"datetime": properties["start_datetime"]}
        del properties["start_datetime"], properties["end_datetime"]
    collection, name = f"c{number % 3}", f"item-{rng.randrange(10**6):06d}-{number}"
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": {"type": "MultiPolygon", "coordinates": rings},
        "bbox": [west, south, east, north],
        "properties": properties,
        "assets": {"mean": {"href": "./mean.tif", "roles": ["data"]}, "out": {"href": "../../../../secret.tif"}},
        "links": [
            {"rel": "root", "href": "../../catalog.json"},
            {"rel": "collection", "href": "../collection.json"},
            {"rel": "describedby", "href": "./metadata.xml"},
            {"rel": "derived_from", "href": "../../c0/x/x.json"},
            {"rel": "derived_from", "href": "../../../demo/archive/a scene.json"},
            {"rel": "derived_from", "href": "../../../jobs/secret.json"},
            {"rel": "derived_from", "href": "file:///etc/passwd"},
            {"rel": "license", "href": "https://creativecommons.org/licenses/by-sa/4.0/"},
        ],
    }


def write(root: Path, made: list[Item]) -> None:
    """Make ``root`` a store whose catalog lists these items."""
    catalog = root / "catalog"
    catalog.mkdir(parents=True, exist_ok=True)
    (root / "store.json").write_text('{"format": "cup4soil-store", "version": 1}')
    for item in made:
        folder = catalog / item["collection"] / item["id"]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{item['id']}.json"
        if not path.exists() or path.read_text() != json.dumps(item):  # items are never written over in a store
            path.write_text(json.dumps(item))
        (folder / RECORD_FILE).write_text("{}")
    names = sorted({item["collection"] for item in made})
    for name in names:
        ids = [item["id"] for item in made if item["collection"] == name]
        _replace(catalog / name / "collection.json", _collection(name, ids))
    links = [{"rel": "child", "href": f"./{name}/collection.json"} for name in names]
    _replace(catalog / "catalog.json", {"type": "Catalog", "id": "cup4soil", "links": links})


def _collection(name: str, ids: list[str]) -> Item:
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": name,
        "title": f"Collection {name}",
        "description": "Made up.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
        },
        "links": [{"rel": "root", "href": "../catalog.json"}]
        + [{"rel": "item", "href": f"./{each}/{each}.json"} for each in ids],
    }


def _replace(path: Path, document: Item) -> None:
    """As the store does: a new file takes the place of the old."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(document))
    part.rename(path)
