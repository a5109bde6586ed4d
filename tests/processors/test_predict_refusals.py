"""What the process predict-soil-property refuses, and that it does so before anything is read."""

import math
import re
from typing import Any

import numpy as np
import pytest

from cup4soil.errors import Cup4soilError, InvalidArea, InvalidInput, LimitExceeded, NoData
from cup4soil.rasters import covariates as covariate_module
from processors.jobs.desk import Desk
from processors.jobs.settings import JobSettings
from processors.processes import process
from tests.processors.predict_world import BOTTOM, LEFT, PredictWorld, make_predict_world, polygon

ID = "predict-soil-property"
SETTINGS = JobSettings(threads=1)
TRIANGLE = polygon((500, 100), (1100, 100), (1100, 900))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> PredictWorld:
    return make_predict_world(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def desk(world: PredictWorld) -> Desk:
    return Desk(world.store, SETTINGS)


BOX = [BOTTOM + 200, LEFT + 700, BOTTOM + 400, LEFT + 900]
RING = polygon((700, 200), (900, 200), (900, 400))["coordinates"]
METRES = {"bbox": BOX, "crs": "EPSG:3035"}
BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}
FAR = {"type": "Polygon", "coordinates": [[[13, 52], [13.1, 52], [13.1, 52.1], [13, 52]]]}
GREEN = {"bbox": [BOTTOM, LEFT + 20, BOTTOM + 60, LEFT + 60], "crs": "EPSG:3035"}
TRICKY = {"type": "Polygon", "coordinates": RING, "crs": {"properties": {"name": "+init=/etc/passwd:x"}}}


def ring(x: float) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[0, 0], [x, 1], [0, 1], [0, 0]]]}


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, InvalidInput, "neither aoi nor bbox is given"),
        ({"aoi": TRIANGLE, "bbox": BOX}, InvalidInput, "both aoi and bbox are given"),
        ({"aoi": TRIANGLE, "bbox-crs": "EPSG:3035"}, InvalidInput, "bbox-crs is given without bbox"),
        ({"bbox": METRES, "bbox-crs": "EPSG:3035"}, InvalidInput, "beside a bbox with a CRS"),
        ({"aoi": TRIANGLE, "colour": "red"}, InvalidInput, "unknown input 'colour'; there are aoi, bbox"),
        ({"aoi": TRIANGLE, "property": 7}, InvalidInput, "input property: 7 is not of type 'string'"),
        ({"aoi": TRIANGLE, "property": "../x"}, InvalidInput, "input property"),
        ({"aoi": TRIANGLE, "property": "gold"}, InvalidInput, "property 'gold' has no model; there are nitrogen, soc"),
        ({"aoi": TRIANGLE, "property": "nitrogen", "depth": "0-30"}, InvalidInput, "no model of depth 0-30cm; there"),
        ({"aoi": TRIANGLE, "depth": "deep"}, InvalidInput, "depth 'deep' is no interval"),
        ({"aoi": TRIANGLE, "period": "soon"}, InvalidInput, "period holds 'soon'"),
        ({"aoi": TRIANGLE, "period": "1999"}, NoData, "for the area; there are 2019-01-01/2021-12-31"),
        ({"aoi": TRIANGLE, "statistics": "yes"}, InvalidInput, "input statistics"),
        ({"aoi": "POLYGON((0 0,1 0,1 1,0 0))"}, InvalidInput, "input aoi"),
        ({"aoi": {"type": "Point", "coordinates": [10, 52]}}, InvalidInput, "input aoi.type"),
        ({"aoi": {"href": "http://169.254.169.254/"}}, InvalidInput, "input aoi is a reference; send the value itself"),
        ({"aoi": {"type": "Polygon"}}, InvalidArea, "cannot be read"),
        ({"aoi": {"type": "Polygon", "coordinates": []}}, InvalidArea, "is empty"),
        ({"aoi": BOW_TIE}, InvalidArea, "no valid polygon"),
        ({"aoi": ring(1e400)}, InvalidArea, "not finite, or too large"),
        ({"aoi": ring(10**400)}, InvalidArea, "not finite, or too large"),
        ({"aoi": ring(math.nan)}, InvalidArea, "not finite, or too large"),
        ({"aoi": {"type": "Polygon", "coordinates": RING, "crs": "EPSG:3035"}}, InvalidArea, "crs member has no name"),
        ({"aoi": TRICKY}, InvalidInput, "the area's crs"),
        ({"aoi": FAR}, InvalidArea, "outside the covariates; they cover (10.0000"),
        ({"bbox": [1, 2, 3]}, InvalidInput, "input bbox"),
        ({"bbox": [10, 52, 10, 53]}, InvalidInput, "swapped or equal corners"),
        ({"bbox": [0, 0, math.inf, 1]}, InvalidInput, "not finite"),
        ({"bbox": BOX, "bbox-crs": "+proj=longlat"}, InvalidInput, "bbox-crs"),
        ({"bbox": BOX, "bbox-crs": "EPSG:999999"}, InvalidInput, "bbox-crs"),
        ({"bbox": BOX}, InvalidInput, "longitude"),
        ({"bbox": GREEN}, NoData, "no cell of the area has all covariates"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_a_reason(
    desk: Desk, inputs: dict[str, Any], error: type[Cup4soilError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        desk.execute(ID, {"inputs": inputs}, as_job=False)


def test_a_ring_of_too_many_vertices_is_refused(world: PredictWorld) -> None:
    few = Desk(world.store, SETTINGS.model_copy(update={"area_vertices": 100}))
    angles = np.linspace(0, 2 * np.pi, 200)
    ring = [[LEFT + 800 + 100 * np.cos(a), BOTTOM + 500 + 100 * np.sin(a)] for a in angles]
    with pytest.raises(LimitExceeded, match="more than the limit of 100 vertices"):
        few.execute(ID, {"inputs": {"aoi": {"type": "Polygon", "coordinates": [ring]}}}, as_job=True)


def test_a_document_nested_too_deeply_is_refused(desk: Desk) -> None:
    nested: list[Any] = []
    for _ in range(500):
        nested = [nested]
    with pytest.raises(InvalidInput, match="nested more than 50 deep"):
        desk.execute(ID, {"inputs": {"aoi": {"type": "Polygon", "coordinates": nested}}}, as_job=False)


# Limits hold before anything is read


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was read")

    monkeypatch.setattr(covariate_module.CovariateStack, "read", refuse)
    monkeypatch.setattr("cup4soil.rasters.covariate_sources.file_checksum", refuse)
    monkeypatch.setattr("processors.predict_process.loaded_model", refuse)


@pytest.mark.usefixtures("unread")
def test_an_area_too_large_for_an_answer_at_once_is_told_how_to_ask(world: PredictWorld) -> None:
    small = Desk(world.store, SETTINGS.model_copy(update={"sync_cells": 1000}))
    body = {"inputs": {"aoi": TRIANGLE}}
    with pytest.raises(LimitExceeded, match=r"1200 cells is larger than the limit of 1000 .*'Prefer: respond-async'"):
        small.execute(ID, body, as_job=False)
    assert small.execute(ID, body, as_job=True).status == "accepted"


@pytest.mark.parametrize("as_job", [True, False])
@pytest.mark.usefixtures("unread")
def test_an_area_too_large_for_any_job_is_refused(world: PredictWorld, as_job: bool) -> None:
    small = Desk(world.store, SETTINGS.model_copy(update={"job_cells": 1000}))
    with pytest.raises(LimitExceeded, match="1200 cells is larger than the limit of 1000; choose a smaller area"):
        small.execute(ID, {"inputs": {"aoi": TRIANGLE}}, as_job=as_job)
    assert small.jobs()[0] == [] or small.jobs()[0][0].process == ID


@pytest.mark.usefixtures("unread")
def test_no_file_is_read_for_its_checksum_where_the_store_states_it(world: PredictWorld) -> None:
    plan = process(ID).plan(world.store, SETTINGS, {"aoi": TRIANGLE})
    (source,) = plan.stack.sources()  # type: ignore[attr-defined]
    assert source.checksum.startswith("sha256:")
