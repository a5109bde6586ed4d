"""What the clients of ``load.py`` ask: every door of the service, rightly and wrongly."""

import asyncio
import json
import random
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import morecantile
import numpy as np
import rasterio
import rasterio.transform
import rasterio.warp

from stac_catalog.metadata import FORMS

_RESUMPTION = "{http://www.openarchives.org/OAI/2.0/}resumptionToken"
_MERCATOR = morecantile.tms.get("WebMercatorQuad")
_EDGE = 0.05
_FINAL = ("successful", "failed", "dismissed")
_BAD: Sequence[tuple[str, int]] = (
    ("/ogc/collections/{raster}/coverage?bbox=1", 400),
    ("/ogc/collections/{raster}/coverage?bbox=nan,0,1,1", 400),
    ("/ogc/collections/{raster}/coverage?colour=red", 400),
    ("/ogc/collections/{raster}/coverage?properties=gold", 400),
    ("/ogc/collections/{raster}/coverage?scale-factor=0.001", 413),
    ("/ogc/collections/gold/coverage", 404),
    ("/ogc/collections/{raster}/position?coords=POINT(0%200)", 404),
    ("/ogc/collections/{raster}/position?coords=POINT(a)", 400),
    ("/ogc/collections/{raster}/map/tiles/WebMercatorQuad/99/0/0", 404),
    ("/ogc/jobs/nonsense", 404),
    ("/stac/search?bbox=a", 400),
    ("/stac/search?limit=-1", 400),
    ("/stac/search?filter=((((", 400),
    ("/stac/collections/gold/items", 404),
    ("/products/{raster}/nothing/iso", 404),
    ("/oai?verb=Nonsense", 200),
    ("/catalog/%2e%2e/store.json", 404),
    ("/tiles/{raster}/0/0/9.png", 404),
    ("/results/x/map.tif", 404),
    ("/nothing", 404),
)


class Wrong(Exception):
    """An answer that is not what it should be."""


@dataclass(frozen=True)
class Place:
    """A collection of rasters: its box in degrees, an item, the names of its fields, places that have data."""

    collection: str
    item: str
    box: tuple[float, float, float, float]
    fields: tuple[str, ...]
    files: tuple[str, ...]
    points: tuple[tuple[float, float], ...]

    def part(self, share: float) -> tuple[float, float, float, float]:
        """A box somewhere inside, with ``share`` of each edge."""
        west, south, east, north = self.box
        width, height = (east - west) * share, (north - south) * share
        x, y = random.uniform(west, east - width), random.uniform(south, north - height)
        return x, y, x + width, y + height

    def around_data(self, share: float) -> tuple[float, float, float, float]:
        """A box as of :meth:`part`, in which there is data."""
        west, south, east, north = self.box
        width, height = (east - west) * share, (north - south) * share
        x, y = random.choice(self.points)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@dataclass
class Asking:
    """One client: its connection, and where it tells what came of its requests, as (kind, status, seconds)."""

    http: httpx.AsyncClient
    places: Sequence[Place]
    told: list[tuple[str, int, float]]
    jobs: list[str] = field(default_factory=list)

    async def ask(self, kind: str, path: str, *expected: int, method: str = "GET", **more: object) -> httpx.Response:
        """The answer, whose status has to be among those ``expected``, by default 200."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            answer = await self.http.request(method, path, **more)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.told.append((kind, 0, loop.time() - start))
            raise Wrong(f"{method} {path}: {error!r}") from error
        self.told.append((kind, answer.status_code, loop.time() - start))
        if answer.status_code not in (expected or (200,)):
            raise Wrong(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    @property
    def raster(self) -> Place:
        """Any of the collections."""
        return random.choice(self.places)


def places_of(catalog: Path) -> list[Place]:
    """The collections of rasters of a store's static catalog, each by one of its items."""
    files = [min(folder.glob("*/*-*.json")) for folder in catalog.iterdir() if folder.is_dir()]
    places = (_place(json.loads(file.read_text()), file.parent) for file in files)
    return [place for place in places if place.fields]


def _place(item: dict[str, Any], folder: Path) -> Place:
    assets = [asset for asset in item["assets"].values() if "bands" in asset]
    bands = tuple(band["name"] for asset in assets for band in asset["bands"])
    files = tuple(Path(asset["href"]).name for asset in assets)
    west, south, east, north = item["bbox"]
    # Of a box in degrees the corners may lie outside the raster, which is turned against them.
    width, height = _EDGE * (east - west), _EDGE * (north - south)
    box = (west + width, south + height, east - width, north - height)
    points = _points(folder / files[0], box) if files else ()
    return Place(item["collection"], item["id"], box, bands, files, points)


def _points(file: Path, box: tuple[float, float, float, float]) -> tuple[tuple[float, float], ...]:
    """Middles of cells that have data, within ``box``, in degrees."""
    with rasterio.open(file) as raster:
        rows, columns = np.nonzero(raster.dataset_mask())
        some = np.random.default_rng(1).integers(rows.size, size=2000) if rows.size else []
        xs, ys = rasterio.transform.xy(raster.transform, rows[some], columns[some])
        lon, lat = rasterio.warp.transform(raster.crs, "OGC:CRS84", xs, ys)
    west, south, east, north = box
    return tuple((x, y) for x, y in zip(lon, lat, strict=True) if west < x < east and south < y < north)


def _text(box: tuple[float, ...]) -> str:
    return ",".join(map(str, box))


_MAGIC = {
    "GTiff": b"II*\x00",
    "COG": b"II*\x00",
    "NetCDF": b"\x89HDF",
    "json": b"{",
    "PNG": b"\x89PNG",
}


async def coverage(client: Asking) -> None:
    """A window in any format."""
    place, kind = client.raster, random.choice(list(_MAGIC))
    fields = [random.choice(place.fields)] if kind == "PNG" else random.sample(place.fields, min(3, len(place.fields)))
    query = {"bbox": _text(place.part(random.uniform(0.05, 0.6))), "properties": ",".join(fields), "f": kind}
    answer = await client.ask(f"coverage {kind}", f"/ogc/collections/{place.collection}/coverage", params=query)
    if not answer.content.startswith(_MAGIC[kind]) and not answer.content.startswith(b"CDF"):
        raise Wrong(f"a coverage as {kind} begins with {answer.content[:8]!r}")


async def point(client: Asking) -> None:
    """EDR: every field at a place."""
    place = client.raster
    west, south, *_ = place.part(0.1)
    query = {"coords": f"POINT({west} {south})", "f": random.choice(("json", "csv", "geojson"))}
    await client.ask("edr position", f"/ogc/collections/{place.collection}/position", params=query)


async def area(client: Asking) -> None:
    """EDR: a polygon, a cube."""
    place = client.raster
    west, south, east, north = place.part(0.2)
    name = random.choice(place.fields)
    base = f"/ogc/collections/{place.collection}"
    ring = f"POLYGON(({west} {south},{east} {south},{east} {north},{west} {south}))"
    await client.ask("edr area", f"{base}/area", params={"coords": ring, "parameter-name": name})
    box = _text((west, south, east, north))
    await client.ask("edr cube", f"{base}/cube", params={"bbox": box, "parameter-name": name})


async def tile(client: Asking) -> None:
    """Pictures as a page asks for them: several at once are several clients."""
    place = client.raster
    zoom = random.choice((8, 10, 12, 13))
    west, south, *_ = place.part(0.1)
    x, y = _mercator_tile(west, south, zoom)
    await client.ask("tile xyz", f"/tiles/{place.collection}/{zoom}/{x}/{y}.{random.choice(('png', 'webp'))}")
    base = f"/ogc/collections/{place.collection}/map"
    await client.ask("tile ogc", f"{base}/tiles/WebMercatorQuad/{zoom}/{y}/{x}", 200, 204)
    await client.ask("map", base, 200, 204, params={"width": "256", "bbox": _text(place.part(0.5))})


def _mercator_tile(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    found = _MERCATOR.tile(lon, lat, zoom)
    return found.x, found.y


async def search(client: Asking) -> None:
    """The STAC API."""
    place = client.raster
    box = list(place.part(0.3))
    await client.ask("stac search", "/stac/search", params={"bbox": _text(tuple(box)), "limit": "5"})
    body = {"collections": [place.collection], "filter": {"op": ">=", "args": [{"property": "gsd"}, 10]}}
    await client.ask("stac cql2", "/stac/search", method="POST", json=body)
    answer = await client.ask("stac item", f"/stac/collections/{place.collection}/items/{place.item}")
    if answer.json()["id"] != place.item:
        raise Wrong("the STAC API gave another item")
    await client.ask("stac collections", "/stac/collections")


async def records(client: Asking) -> None:
    """OGC API Records, and pygeoapi's descriptions."""
    await client.ask("records", "/ogc/collections/products/items", params={"q": "soil", "limit": "5"})
    await client.ask("collections", "/ogc/collections", params={"f": random.choice(("json", "html"))})
    await client.ask("processes", "/ogc/processes", params={"f": "json"})


async def harvest(client: Asking) -> None:
    """OAI-PMH with its pages, and the forms of metadata."""
    prefix = random.choice(("oai_dc", "iso19139"))
    await client.ask("oai", "/oai", params={"verb": "Identify"})
    query = {"verb": "ListRecords", "metadataPrefix": prefix}
    for _ in range(3):
        answer = await client.ask("oai", "/oai", params=query)
        token = ET.fromstring(answer.content).find(f".//{_RESUMPTION}")
        if token is None or not token.text:
            break
        query = {"verb": "ListRecords", "resumptionToken": token.text}
    place = client.raster
    page = f"/products/{place.collection}/{place.item}"
    await client.ask("product page", page)
    await client.ask("metadata", f"{page}/{random.choice(list(FORMS))}")
    await client.ask("dcat", f"/dcat/{place.collection}", params={"f": random.choice(("jsonld", "rdf"))})


async def files(client: Asking) -> None:
    """The page, the static catalog, and rasters by byte range."""
    place = client.raster
    await client.ask("page", "/")
    await client.ask("catalog", f"/catalog/{place.collection}/collection.json")
    path = f"/catalog/{place.collection}/{place.item}/{random.choice(place.files)}"
    size = int((await client.ask("range", path, method="HEAD")).headers["content-length"])
    first = random.randrange(size)
    last = min(size - 1, first + 16_383)
    answer = await client.ask("range", path, 206, headers={"Range": f"bytes={first}-{last}"})
    if len(answer.content) != last - first + 1:
        raise Wrong(f"a range of {last - first + 1} bytes has {len(answer.content)}")
    await client.ask("range", path, 416, headers={"Range": f"bytes={size + 5}-"})


def _execution(place: Place, share: float) -> dict[str, object]:
    return {"inputs": {"bbox": {"bbox": list(place.around_data(share))}, "property": "soc"}}


_EXECUTE = "/ogc/processes/predict-soil-property/execution"


async def predict(client: Asking) -> None:
    """A process at once; that others are before one is no fault."""
    place = next(place for place in client.places if place.collection.startswith("soc"))
    answer = await client.ask("execute", _EXECUTE, 200, 429, method="POST", json=_execution(place, 0.05))
    if answer.status_code == 200:
        await client.ask("result", answer.json()["preview"]["href"])


async def job(client: Asking) -> None:
    """A job: begun, followed, and dismissed or fetched."""
    place = next(place for place in client.places if place.collection.startswith("soc"))
    headers = {"Prefer": "respond-async"}
    answer = await client.ask("submit", _EXECUTE, 201, 429, method="POST", json=_execution(place, 0.1), headers=headers)
    if answer.status_code == 429:
        return
    address = answer.headers["location"]
    for _ in range(random.randrange(1, 40)):
        state = (await client.ask("poll", address)).json()["status"]
        if state in _FINAL:
            break
        await asyncio.sleep(0.5)
    else:
        await client.ask("dismiss", address, method="DELETE")
        return
    if state == "failed":
        raise Wrong(f"the job {address} failed")
    await client.ask("results", f"{address}/results?f=json")


async def wrong(client: Asking) -> None:
    """What cannot be answered."""
    path, status = random.choice(_BAD)
    answer = await client.ask("wrong", path.format(raster=client.raster.collection), status)
    if status >= 400 and "detail" not in answer.json() and "description" not in answer.json():
        raise Wrong(f"{path}: no problem document: {answer.text[:200]}")
    bodies = (b"{", b"[" * 5000, b'{"inputs": {"bbox": 3}}', b"\x00\xff")
    await client.ask("wrong", _EXECUTE, 400, 429, method="POST", content=random.choice(bodies))


# How often each is asked, in relation to the others.
KINDS: dict[Callable[[Asking], Awaitable[None]], int] = {
    coverage: 6, point: 6, area: 2, tile: 6, search: 4, records: 2, harvest: 2, files: 4, predict: 1, job: 1, wrong: 3,
}  # fmt: skip
