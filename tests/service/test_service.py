"""The whole service: a real server and worker on a small demo store, seen by clients that others wrote."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
import rasterio.warp
import rasterio.windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from service.cli import run
from tests.demo_store import copy_of
from tests.service.running import end, start

CHROMIUM = Path("/usr/bin/chromium")
BANDS = ("mean", "q05", "q50", "q95", "q05-raw", "q95-raw", "uncertainty", "pi90", "aoa", "di", "lpd")


@pytest.fixture(scope="module")
def made(demo):
    return demo


@pytest.fixture(scope="module")
def server(made, tmp_path_factory):
    running = start(copy_of(made, tmp_path_factory.mktemp("service") / "store"))
    yield running
    end(running)


@pytest.fixture(scope="module")
def box(made):
    """A part of the map in degrees and its window."""
    with rasterio.open(made.soil_map.folder / "mean.tif") as dataset:
        left, bottom = dataset.bounds[:2]
        crs = dataset.crs
    inner = (left + 600, bottom + 600, left + 1400, bottom + 1400)
    return rasterio.warp.transform_bounds(crs, "EPSG:4326", *inner, densify_pts=21)


def test_doors(server):
    for path in (
        "/",
        "/stac",
        "/ogc/",
        "/ogc/collections?f=json",
        "/ogc/processes?f=json",
        "/catalog/catalog.json",
        "/health",
    ):
        answer = server.get(path, follow_redirects=True)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
    health = server.get("/health").json()
    assert health["status"] == "ok"
    assert health["products"] == {"bare-soil-composites": 1, "models": 1, "soc": 1, "validation-sites": 1}


def test_cogs_by_byte_range_through_gdal(server, made):
    item = made.soil_map
    address = f"{server.url}/catalog/{item.record.collection}/{item.record.id}/mean.tif"
    answer = server.get(address.removeprefix(server.url), headers={"Range": "bytes=0-99"})
    assert (answer.status_code, len(answer.content)) == (206, 100)
    with rasterio.open(f"/vsicurl/{address}") as remote, rasterio.open(item.folder / "mean.tif") as local:
        np.testing.assert_array_equal(remote.read(), local.read())


def test_coverage_equals_the_map(server, made, tmp_path):
    with rasterio.open(made.soil_map.folder / "q05.tif") as local:
        left, bottom = local.bounds[:2]
        inner = (left + 200, bottom + 300, left + 900, bottom + 1000)
        window = rasterio.windows.from_bounds(*inner, local.transform)
        want = local.read(1, window=window)
    query = {"bbox": ",".join(map(str, inner)), "bbox-crs": "EPSG:32633", "properties": "q05", "f": "GTiff"}
    answer = server.get("/ogc/collections/soc/coverage", params=query)
    assert answer.status_code == 200, answer.text
    with rasterio.MemoryFile(answer.content) as memory, memory.open() as dataset:
        assert dataset.descriptions == ("q05",)
        np.testing.assert_array_equal(dataset.read(1), want)


@pytest.fixture(scope="module")
def three_ways(server, made, box, tmp_path_factory):
    """The same area predicted by the command line, at once and as a job."""
    folder = tmp_path_factory.mktemp("ways")
    composite = str(made.composite.folder)
    arguments = ["predict", str(made.model.folder), str(folder / "map"), "--covariates", composite]
    assert run([*arguments, "--bbox", *map(str, box)]) == 0
    by_command = np.stack([rasterio.open(folder / "map" / f"{name}.tif").read(1).astype(np.int16) for name in BANDS])
    inputs = {"bbox": {"bbox": list(box)}, "property": "soc"}
    at_once = server.execute(inputs)
    assert at_once.status_code == 200, at_once.text
    accepted = server.execute(inputs, Prefer="respond-async")
    assert accepted.status_code == 201, accepted.text
    state = server.finished(accepted.headers["Location"])
    assert state["status"] == "successful", state
    as_job = httpx.get(accepted.headers["Location"] + "/results?f=json", timeout=30).json()
    return by_command, at_once.json(), as_job


def test_command_process_and_job_give_the_same_pixels(three_ways):
    by_command, *documents = three_ways
    for document in documents:
        with rasterio.open(document["map"]["href"]) as dataset:
            assert dataset.descriptions == BANDS
            values = dataset.read()
        for band, name in enumerate(BANDS):
            mine, theirs = by_command[band], values[band]
            if name == "aoa":
                mine, theirs = np.where(mine == 255, -1, mine), np.where(np.isin(theirs, (0, 1)), theirs, -1)
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_answer_tells_how_sure_and_whence(three_ways):
    _, document, _ = three_ways
    assert document["statistics"]["unit"] == "g/kg"
    assert 0 <= document["statistics"]["inside_percent"] <= 100
    assert document["provenance"]["model"]["id"].startswith("model-soc")
    assert document["provenance"]["licence"] == "CC-BY-SA-4.0"
    assert httpx.get(document["preview"]["href"], timeout=30).content.startswith(b"\x89PNG")


def test_product_registered_meanwhile_appears_in_every_process(made, tmp_path):
    root = copy_of(made, tmp_path / "store")
    running = start(root, "--workers", "2", "--no-worker")
    try:
        assert running.get("/ogc/collections/soc?f=json").json()["extent"]
        (tmp_path / "part.geojson").write_text(json.dumps(made.soil_map.record.extent.geometry))
        arguments = [
            "predict",
            str(made.model.folder),
            str(tmp_path / "map"),
            "--covariates",
            str(made.composite.folder),
        ]
        assert run([*arguments, "--aoi", str(tmp_path / "part.geojson"), "--store", str(root)]) == 0
        for _ in range(12):
            with httpx.Client(timeout=30) as client:
                items = client.get(f"{running.url}/stac/collections/soc/items").json()["features"]
                assert len(items) == 2
                catalog = client.get(f"{running.url}/catalog/soc/collection.json").json()
                assert sum(link["rel"] == "item" for link in catalog["links"]) == 2
    finally:
        end(running)


BAD = (
    ("/ogc/collections/soc/coverage?bbox=1", 400),
    ("/ogc/collections/soc/coverage?bbox=1,3,2,0", 400),
    # Across the antimeridian, and so around the globe: the map does not lie there.
    ("/ogc/collections/soc/coverage?bbox=1,2,0,3", 404),
    ("/ogc/collections/soc/coverage?bbox-crs=EPSG:0&bbox=0,0,1,1", 400),
    ("/ogc/collections/soc/coverage?properties=gold", 400),
    ("/ogc/collections/soc/coverage?colour=red", 400),
    ("/ogc/collections/gold/coverage", 404),
    ("/ogc/collections/gold", 404),
    ("/ogc/jobs/nonsense", 404),
    ("/ogc/processes/nonsense", 404),
    ("/stac/collections/gold", 404),
    ("/stac/search?bbox=a", 400),
    ("/stac/search?limit=-1", 400),
    ("/catalog/../store.json", 404),
    ("/catalog/%2e%2e/store.json", 404),
    ("/results/x/map.tif", 404),
    ("/nothing", 404),
)


@pytest.mark.parametrize(("path", "status"), BAD)
def test_bad_requests_are_the_clients_fault_and_told(server, path, status):
    answer = server.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "aoi"),
        ({"bbox": {"bbox": [0, 0, 1, 1]}, "property": "soc"}, "covariates"),
        ({"bbox": {"bbox": [14.45, 52.38, 14.46, 52.39]}, "property": "gold"}, "gold"),
        ({"bbox": {"bbox": [14.45, 52.38, 14.46, 52.39]}, "href": "http://localhost/x"}, "href"),
        ({"aoi": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}}, "elf-intersection"),
    ],
)
def test_bad_executions(server, inputs, words):
    answer = server.execute(inputs)
    assert 400 <= answer.status_code < 500, answer.text
    assert words in answer.json()["detail"]


def test_body_that_is_too_large(server):
    answer = httpx.post(f"{server.url}/stac/search", content=b"x" * 6_000_000, timeout=30)
    assert answer.status_code == 413


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/ogc/processes/predict-soil-property/execution", "/stac/search"]), body=json_values)
def test_nonsense_never_breaks_it(server, path, body):
    answer = httpx.post(
        server.url + path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, timeout=30
    )
    assert answer.status_code < 500, (body, answer.text)


def test_page_predicts_in_a_real_browser(server):
    """Nothing drawn, nobody else asked: the visible part is predicted by the worker and shown."""
    if not CHROMIUM.exists():
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        page = browser.new_page()
        told, elsewhere = [], []
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
        ours = (server.url, "blob:", "data:")
        page.on("request", lambda asked: None if asked.url.startswith(ours) else elsewhere.append(asked.url))
        page.goto(server.url)
        page.get_by_role("button", name="Use the visible part").click(timeout=30_000)
        page.get_by_role("button", name="Predict for this area").click()
        page.get_by_text("Share where the model applies").wait_for(timeout=90_000)
        browser.close()
    assert told == []
    assert elsewhere == []


def test_worker_that_is_killed_is_begun_again(server, box):
    found = subprocess.run(
        ["pgrep", "-f", f"worker --store {server.store}"], capture_output=True, text=True, check=True
    )
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    accepted = server.execute({"bbox": {"bbox": list(box)}, "property": "soc"}, Prefer="respond-async")
    assert server.finished(accepted.headers["Location"])["status"] == "successful"


def test_jobs_of_others_are_not_listed(server, box):
    """Neither to programs nor to browsers."""
    job = server.execute({"bbox": {"bbox": list(box)}, "property": "soc"}, Prefer="respond-async").json()["jobID"]
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.3"), timeout=30)
    for query, headers in (("?f=json", {}), ("?f=html", {}), ("", {"Accept": "text/html"})):
        assert job in server.get(f"/ogc/jobs{query}", headers=headers).text
        assert job not in other.get(f"{server.url}/ogc/jobs{query}", headers=headers).text
    other.close()
    assert server.get("/ogc/jobs?processID=nope").json()["jobs"] == []
    assert server.get("/ogc/jobs?process=nope").status_code == 400


def test_redirects_stay_behind_a_proxy(server):
    for path, target in (("/catalog", "catalog/catalog.json"), ("/catalog/", "catalog.json")):
        assert server.get(path).headers["location"] == target
        assert server.get(path, follow_redirects=True).status_code == 200


def test_clients_may_leave_out_the_last_slash(server):
    assert server.get("/ogc").json() == server.get("/ogc/").json()
    assert httpx.head(f"{server.url}/ogc", timeout=30).status_code == 200


def test_worker_ends_with_a_service_that_is_killed(made, tmp_path):
    root = copy_of(made, tmp_path / "store")
    running = start(root)

    def workers() -> list[str]:
        found = subprocess.run(["pgrep", "-f", f"worker --store {root}"], capture_output=True, text=True, check=False)
        return found.stdout.split()

    wait_until(lambda: len(workers()) == 1)
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not workers())


def test_slow_client_does_not_keep_it_from_ending(made, tmp_path):
    root = copy_of(made, tmp_path / "store")
    running = start(root, "--no-worker")
    with socket.create_connection(("127.0.0.1", int(running.url.rsplit(":", 1)[1]))) as slow:
        slow.sendall(b"POST /stac/search HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.5)
        end(running)


def wait_until(true, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def test_port_that_is_taken(server, capsys):
    port = server.url.rsplit(":", 1)[1]
    assert run(["serve", "--store", str(server.store), "--port", port]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_demo_tells_of_a_taken_port_before_it_works(server, tmp_path, capsys):
    port = server.url.rsplit(":", 1)[1]
    assert run(["demo", "--store", str(tmp_path / "store"), "--port", port]) == 1
    assert "choose another --port" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_serving_what_is_no_store(tmp_path, capsys):
    assert run(["serve", "--store", str(tmp_path)]) == 1
    assert "no store" in capsys.readouterr().err
    assert run(["worker", "--store", str(tmp_path)]) == 1
