"""A STAC API over real HTTP: search, and rasters read through it."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio

from cup4soil.errors import InvalidInput, NoData
from cup4soil.progress import Silent
from cup4soil.settings import Settings
from producers.composite import plan_composite
from producers.composite_request import CompositeRequest
from tests.producers.archives import random_scene, write_archive


class ApiHandler(SimpleHTTPRequestHandler):
    """Landing page and item search, and files by byte range."""

    searches: list[dict]
    items: list[dict]

    def log_message(self, *args):
        pass

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.searches.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({"type": "FeatureCollection", "features": self.items, "links": []})

    def do_GET(self):
        if self.path == "/stac":
            base = f"http://127.0.0.1:{self.server.server_port}"
            conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
            links = [
                {"rel": "self", "href": f"{base}/stac"},
                {"rel": "root", "href": f"{base}/stac"},
                {"rel": "search", "href": f"{base}/stac/search", "method": "POST", "type": "application/geo+json"},
            ]
            return self.answer(
                {
                    "type": "Catalog",
                    "id": "api",
                    "stac_version": "1.1.0",
                    "description": "",
                    "conformsTo": conforms,
                    "links": links,
                }
            )
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        if not path.is_file():
            return self.answer({}, 404)
        data = path.read_bytes()
        first, last = 0, len(data) - 1
        if wanted:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(data[first : last + 1])
        return None

    def do_HEAD(self):
        path = Path(self.translate_path(self.path))
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Length", str(path.stat().st_size if path.is_file() else 0))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()


@pytest.fixture
def api(tmp_path):
    rng = np.random.default_rng(20)
    catalog = write_archive(tmp_path, [random_scene(rng, f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(4)])
    handler = type("Handler", (ApiHandler,), {"searches": [], "items": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(catalog.parent)))
    base = f"http://127.0.0.1:{server.server_port}"
    for path in sorted(catalog.parent.glob("s2/*/*.json")):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = f"{base}/s2/{item['id']}/{asset['href']}"
        item["links"] = [{"rel": "self", "href": f"{base}/items/{item['id']}"}]
        handler.items.append(item)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{base}/stac", handler, catalog
    server.shutdown()
    server.server_close()


def composite(source, folder, **more):
    job = plan_composite(CompositeRequest(source=source, threshold=0.2, **more), Settings())
    folder.mkdir()
    return job, job.run(folder, Silent())


def test_api_gives_the_same_pixels_as_the_catalog(api, tmp_path):
    url, handler, catalog = api
    _, record = composite(url, tmp_path / "api")
    composite(str(catalog), tmp_path / "file")
    for name in ("SRC", "MREF", "SFREQ", "MASK"):
        one, two = (rasterio.open(tmp_path / kind / f"{name}.tif").read() for kind in ("api", "file"))
        np.testing.assert_array_equal(one, two)
    assert handler.searches[0]["collections"] == ["sentinel-2-l2a"]
    assert {source.href for source in record.sources} == {item["links"][0]["href"] for item in handler.items}


def test_remote_items_never_name_local_files(api, tmp_path):
    url, handler, catalog = api
    handler.items[0]["assets"]["B02"]["href"] = str(catalog.parent / "s2" / "S0" / "B02.tif")
    with pytest.raises(InvalidInput, match="http"):
        plan_composite(CompositeRequest(source=url, threshold=0.2), Settings())


def test_api_without_answer_and_without_items(api):
    url, handler, _ = api
    with pytest.raises(InvalidInput, match="STAC"):
        plan_composite(CompositeRequest(source=url + "/nowhere", threshold=0.2), Settings())
    with pytest.raises(InvalidInput, match="does not answer"):
        plan_composite(CompositeRequest(source="http://127.0.0.1:9/stac", threshold=0.2), Settings())
    handler.items.clear()
    with pytest.raises(NoData, match="holds no scene"):
        plan_composite(CompositeRequest(source=url, threshold=0.2), Settings())
