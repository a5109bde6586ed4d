"""Made-up items of a STAC catalog, and searches among them."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

PROPERTIES = ("soc", "clay", "phh2o", "bdod", "nitrogen")
DEPTHS = ("0-20cm", "20-50cm")


def item(number: int) -> dict[str, object]:
    """A map of 20 km somewhere in Europe, as the register describes one."""
    random.seed(number)
    west, south = random.uniform(-10, 30), random.uniform(36, 65)
    east, north = west + 0.3, south + 0.2
    code, depth, year = PROPERTIES[number % 5], DEPTHS[number // 5 % 2], 2000 + number % 20
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"{code}-{number:012x}",
        "collection": f"{code}-{depth}",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "title": f"Map of {code}, {depth}",
            "description": "Mean and quantiles of a soil property, and where the model is applicable. " * 5,
            "created": "2026-01-01T00:00:00Z",
            "datetime": None,
            "start_datetime": f"{year}-01-01T00:00:00Z",
            "end_datetime": f"{year + 3}-12-31T23:59:59Z",
            "license": "CC-BY-SA-4.0",
            "version": "1.0",
            "proj:code": "EPSG:3035",
            "gsd": 20.0,
            "cup4soil:kind": "soil-map",
            "cup4soil:property": code,
            "cup4soil:depth": depth,
            "cup4soil:simulated": number % 3 == 0,
            "cup4soil:score": number % 100,
            "cup4soil:parameters": {"trees": 500, "seed": number},
        },
        "assets": {
            name: {
                "href": f"./{name}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "title": name,
                "roles": ["data"],
                "bands": [{"name": name, "data_type": "int16", "nodata": -32768, "unit": "g/kg", "raster:scale": 0.1}],
                "file:size": 123456,
                "file:checksum": "1220" + "ab" * 32,
            }
            for name in ("mean", "q05", "q50", "q95", "uncertainty", "pi90", "aoa", "di", "metadata", "thumbnail")
        },
        "links": [
            {"rel": "root", "href": "../../catalog.json"},
            {"rel": "parent", "href": "../collection.json"},
            {"rel": "collection", "href": "../collection.json"},
            {"rel": "describedby", "href": "./metadata.xml", "type": "application/xml"},
        ],
    }


def write_catalog(root: Path, count: int, *, known: int = 0) -> None:
    """A store with ``count`` items and no files but their descriptions; the first ``known`` are there already."""
    members: dict[str, list[str]] = {}
    for number in range(count):
        document = item(number)
        collection, name = str(document["collection"]), str(document["id"])
        if number >= known:
            folder = root / "catalog" / collection / name
            folder.mkdir(parents=True)
            (folder / f"{name}.json").write_text(json.dumps(document))
        members.setdefault(collection, []).append(name)
    for collection, names in members.items():
        links = [{"rel": "item", "href": f"./{name}/{name}.json"} for name in names]
        about = {
            "type": "Collection",
            "stac_version": "1.1.0",
            "id": collection,
            "description": collection,
            "license": "CC-BY-SA-4.0",
            "extent": {"spatial": {"bbox": [[-10, 36, 31, 66]]}, "temporal": {"interval": [[None, None]]}},
            "links": links,
        }
        (root / "catalog" / collection / "collection.json").write_text(json.dumps(about))
    links = [{"rel": "child", "href": f"./{name}/collection.json"} for name in members]
    (root / "catalog" / "catalog.json").write_text(json.dumps({"id": "cup4soil", "links": links}))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request below the API's prefix; with a body it is a POST."""

    path: str
    body: dict[str, Any] | None = None

    def http(self, prefix: str, port: int) -> bytes:
        """The request as it is sent."""
        host = f"Host: 127.0.0.1:{port}"
        if self.body is None:
            return f"GET {prefix}{self.path} HTTP/1.1\r\n{host}\r\n\r\n".encode()
        body = json.dumps(self.body)
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
        return f"POST {prefix}{self.path} HTTP/1.1\r\n{host}\r\n{kind}\r\n\r\n{body}".encode()


def searches(count: int) -> dict[str, Callable[[], Asked]]:
    """The kinds of searches, each drawn anew for every request."""
    return {
        "bbox": lambda: _search(bbox=_box()),
        "collection, time, bbox": _collection_time_box,
        "CQL2": _cql2,
        "CQL2 with functions": _cql2_functions,
        "sorted": _sorted,
        "ids": lambda: _search(ids=",".join(str(item(random.randrange(count))["id"]) for _ in range(10))),
        "query": _query,
        "item": lambda: _single(count),
    }


def _search(**values: str | int) -> Asked:
    return Asked(f"/search?{urlencode(values)}")


def _box() -> str:
    west, south = random.uniform(-10, 28), random.uniform(36, 63)
    return f"{west:.3f},{south:.3f},{west + 2:.3f},{south + 2:.3f}"


def _collection_time_box() -> Asked:
    year = random.randrange(2000, 2023)
    period = f"{year}-03-01T00:00:00Z/{year}-10-01T00:00:00Z"
    return _search(collections=f"{random.choice(PROPERTIES)}-{random.choice(DEPTHS)}", datetime=period, bbox=_box())


def _cql2() -> Asked:
    code, score = random.choice(PROPERTIES), random.randrange(100)
    text = f'"cup4soil:property" = \'{code}\' AND "cup4soil:score" > {score} AND gsd <= 20'
    return Asked(f"/search?{urlencode({'filter': text, 'filter-lang': 'cql2-text'})}")


def _cql2_functions() -> Asked:
    code, score = random.choice(PROPERTIES), random.randrange(90, 100)
    text = f'casei("cup4soil:property") = casei(\'{code.upper()}\') AND "cup4soil:score" = {score}'
    return Asked(f"/search?{urlencode({'filter': text, 'filter-lang': 'cql2-text'})}")


def _sorted() -> Asked:
    return _search(sortby=random.choice(["-datetime", "+cup4soil:score", "-cup4soil:score"]), bbox=_box())


def _query() -> Asked:
    code, score = random.choice(PROPERTIES), random.randrange(90, 100)
    return Asked("/search", {"query": {"cup4soil:property": {"eq": code}, "cup4soil:score": {"gte": score}}})


def _single(count: int) -> Asked:
    about = item(random.randrange(count))
    return Asked(f"/collections/{quote(str(about['collection']))}/items/{quote(str(about['id']))}")
