"""Windows in time from one reading: each product is what a run for it alone gives, and the archive is read once."""

import json
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cup4soil.errors import InvalidInput, NoData
from cup4soil.progress import Silent
from cup4soil.rasters import scenes
from producers import composite_plan
from producers.composite_plan import BlockPlan
from producers.composite_windows import SEASONS, TimeWindow, time_windows
from tests.core import composite_oracle as oracle
from tests.producers.archives import SceneSpec, typical_scene, write_archive
from tests.producers.engine_runs import assert_same_bytes, engine_layers, made, planned, raw_scene

YEARS = (2019, 2020, 2021)
DAYS = ("01-01T00:00:00", "02-10T10:30:00", "04-02T10:00:00", "06-30T23:59:59", "09-01T00:00:00", "12-31T23:39:00")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> tuple[Path, list[SceneSpec]]:
    """Six dates in each of three years, some on the first or the last second of a year, a season or a month."""
    rng = np.random.default_rng(1)
    times = [f"{year}-{day}Z" for year in YEARS for day in DAYS]
    specs = [typical_scene(rng, f"S{i:02d}", time, (13, 11)) for i, time in enumerate(times)]
    return write_archive(tmp_path_factory.mktemp("windows"), specs), specs


def first(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def last(year: int) -> datetime:
    return datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_windows_of_years_are_the_products_of_runs_for_them(tmp_path, archive):
    """Same identity, same lineage, same bytes of every raster."""
    catalog, _ = archive
    together = planned(catalog, years=(2,), start=first(2019), end=last(2021))
    assert [job.window.label for job in together.jobs] == ["2019-2020", "2020-2021"]
    made(together, tmp_path / "together")
    for begins, job in zip((2019, 2020), together.jobs, strict=True):
        (alone,) = planned(catalog, start=first(begins), end=last(begins + 1)).jobs
        assert alone.id == job.id
        assert alone.sources == job.sources
        folder = tmp_path / "alone" / job.window.label
        folder.mkdir(parents=True)
        alone.run(folder, Silent())
        other = tmp_path / "together" / job.window.label
        rasters = sorted(path.name for path in folder.glob("*.tif"))
        assert len(rasters) == len(oracle.LAYERS)
        for name in (*rasters, "tiles.geojson"):
            assert (folder / name).read_bytes() == (other / name).read_bytes(), name
        lineages = [json.loads((each / "lineage.json").read_text()) for each in (folder, other)]
        for lineage in lineages:
            # Scenes outside the period are none of a run for all of them.
            assert set(lineage.pop("rejected").values()) <= {"outside the period"}
        assert lineages[0] == lineages[1]
    assert not list((tmp_path / "together").glob("*/.cup4soil-run-*"))


def test_all_windows_equal_brute_force_and_runs_alone(tmp_path, archive, monkeypatch):
    """Years, pairs of years and seasons, in blocks; oracle from the raw files."""
    catalog, specs = archive
    monkeypatch.setattr(composite_plan, "EDGES", (8,))
    run = planned(catalog, years=(1, 2, 3), seasons=True)
    found = engine_layers(run, tmp_path / "all")
    assert sorted(found) == sorted(
        ["2019", "2020", "2021", "2019-2020", "2020-2021", "2019-2021", "winter", "spring", "summer", "autumn"]
    )
    stack = np.array([raw_scene(catalog.parent / "s2" / spec.id) for spec in specs])
    times = [spec.time for spec in specs]
    months = np.array([int(time[5:7]) for time in times])
    for label, layers in found.items():
        used = np.array([in_window(time, label) for time in times])
        assert used.any()
        oracle.assert_same_layers(layers, oracle.suite(stack[used], months[used], 0.2))
        if label not in SEASONS:
            begins, ends = int(label[:4]), int(label[-4:])
            alone = planned(catalog, start=first(begins), end=last(ends))
            assert_same_bytes(engine_layers(alone, tmp_path / label)["all"], layers)


def in_window(time: str, label: str) -> bool:
    months = {"winter": "12 01 02", "spring": "03 04 05", "summer": "06 07 08", "autumn": "09 10 11"}
    if label in months:
        return time[5:7] in months[label]
    return label[:4] <= time[:4] <= label[-4:]


def test_a_season_is_what_an_archive_of_its_scenes_gives(tmp_path, archive):
    catalog, specs = archive
    found = engine_layers(planned(catalog, seasons=True), tmp_path / "seasons")
    winter = [spec for spec in specs if in_window(spec.time, "winter")]
    alone = planned(write_archive(tmp_path / "winter", winter))
    assert_same_bytes(engine_layers(alone, tmp_path / "alone")["all"], found["winter"])


def test_medians_of_every_window_are_its_own(tmp_path, archive):
    catalog, specs = archive
    found = engine_layers(planned(catalog, years=(1,), method="median"), tmp_path / "all")
    for year in YEARS:
        used = [spec for spec in specs if spec.time.startswith(str(year))]
        stack = np.array([raw_scene(catalog.parent / "s2" / spec.id) for spec in used])
        months = np.array([int(spec.time[5:7]) for spec in used])
        oracle.assert_same_layers(found[str(year)], oracle.suite(stack, months, 0.2, test="median"))


class Counting:
    """Stands before the pool of open files, and counts the cells that are read of each."""

    def __init__(self, pool) -> None:
        self._pool = pool
        self.cells: Counter[str] = Counter()

    @contextmanager
    def open(self, source: str):
        with self._pool.open(source) as dataset:
            yield CountedDataset(dataset, self.cells, source)


class CountedDataset:
    def __init__(self, dataset, cells: Counter[str], source: str) -> None:
        self._dataset, self._cells, self._source = dataset, cells, source

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    def read(self, band, window, **more):
        self._cells[self._source] += int(window.height * window.width)
        return self._dataset.read(band, window=window, **more)


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    counting = Counting(scenes.POOL)
    monkeypatch.setattr(scenes, "POOL", counting)
    return counting.cells


def test_several_windows_read_no_cell_more_than_one(tmp_path, archive, reads):
    catalog, specs = archive
    engine_layers(planned(catalog), tmp_path / "one")
    once = dict(reads)
    reads.clear()
    assert len(engine_layers(planned(catalog, years=(1, 2), seasons=True), tmp_path / "many")) == 9
    assert dict(reads) == once
    # Every cell of every file, and no more: one block, nothing beside it.
    for spec in specs:
        for band in oracle.BANDS:
            assert once[str(catalog.parent / "s2" / spec.id / f"{band}.tif")] == spec.bands[band].size
        assert once[str(catalog.parent / "s2" / spec.id / "SCL.tif")] == spec.scl.size


def test_blocks_read_every_band_once_and_the_classification_with_a_margin(tmp_path, archive, monkeypatch, reads):
    catalog, specs = archive
    monkeypatch.setattr(composite_plan, "EDGES", (8,))
    run = planned(catalog, years=(1,))
    assert len(run.blocks) == 4
    engine_layers(run, tmp_path / "blocks")
    rows, cols = specs[0].scl.shape
    # Two rows and two columns of blocks, with five cells more where they meet.
    margin = (min(8 + 5, rows) + min(rows - 8 + 5, rows)) * (min(8 + 5, cols) + min(cols - 8 + 5, cols))
    for spec in specs:
        folder = catalog.parent / "s2" / spec.id
        clear = not np.isin(spec.scl, (3, 8, 9, 10)).any()
        for band in oracle.BANDS:
            # Blocks under clouds are not read at all.
            cells = reads[str(folder / f"{band}.tif")]
            assert cells == spec.bands[band].size if clear else cells <= spec.bands[band].size
        assert reads[str(folder / "SCL.tif")] == margin


def test_bands_of_the_index_are_read_twice_only_where_they_are_not_kept(tmp_path, archive, reads):
    catalog, specs = archive
    run = planned(catalog)
    engine_layers(run, tmp_path / "blocks", blocks=BlockPlan(512, ("B02", "B08"), 1.0, 0.0))
    for spec in specs:
        for band in oracle.BANDS:
            times = 2 if band in ("B04", "B12") else 1
            assert reads[str(catalog.parent / "s2" / spec.id / f"{band}.tif")] == times * spec.bands[band].size


def test_scenes_under_clouds_are_not_read_beyond_their_classification(tmp_path, reads):
    specs = [typical_scene(np.random.default_rng(i), f"S{i}", f"2021-0{i + 1}-05T10:00:00Z") for i in range(3)]
    specs[1].scl[:] = 9
    specs[2].bands["B02"][:] = 0
    catalog = write_archive(tmp_path, specs)
    engine_layers(planned(catalog), tmp_path / "blocks")
    read = {spec.id: [name for name in reads if f"/{spec.id}/" in name] for spec in specs}
    assert [len(read[spec.id]) for spec in specs] == [11, 1, 2]


# Which windows there are


def test_labels_and_limits():
    times = [datetime(2019, 6, 1, tzinfo=UTC), datetime(2021, 2, 1, tzinfo=UTC)]
    windows = time_windows(None, None, years=(2, 1, 2), seasons=True, times=times)
    assert [window.label for window in windows] == [
        "2019", "2020", "2021", "2019-2020", "2020-2021", "winter", "spring", "summer", "autumn",
    ]  # fmt: skip
    assert time_windows(None, None, years=(), seasons=False, times=times) == (TimeWindow("all"),)


def test_every_moment_of_a_year_lies_in_one_window_of_one_year():
    times = [datetime(2019, 6, 1, tzinfo=UTC), datetime(2021, 2, 1, tzinfo=UTC)]
    windows = time_windows(None, None, years=(1,), seasons=False, times=times)
    for moment in (first(2020), last(2020), first(2021) - timedelta(microseconds=1), first(2021)):
        assert [window.label for window in windows if window.holds(moment)] == [str(moment.year)]


def test_the_last_second_of_a_period_is_its_own_to_the_end(tmp_path):
    """For the scenes that are chosen as for the windows that they enter."""
    times = ("2019-12-31T23:59:59.700Z", "2020-12-31T23:59:59.700Z", "2021-01-01T00:00:00Z")
    specs = [typical_scene(np.random.default_rng(i), f"S{i}", time) for i, time in enumerate(times)]
    run = planned(write_archive(tmp_path, specs), years=(1,), start=first(2019), end=last(2020))
    assert [[scene.id for scene in job.selection.scenes] for job in run.jobs] == [["S0"], ["S1"]]
    assert run.selection.rejected.keys() == {"S2"}


def test_the_period_cuts_the_first_and_the_last_year():
    start, end = datetime(2019, 6, 1, tzinfo=UTC), datetime(2021, 2, 1, tzinfo=UTC)
    one, two, three = time_windows(start, end, years=(1,), seasons=False, times=[start, end])
    assert (one.start, one.end) == (start, last(2019))
    assert (two.start, two.end) == (first(2020), last(2020))
    assert (three.start, three.end) == (first(2021), end)


@pytest.mark.parametrize("length", [0, -1, 4])
def test_windows_that_do_not_fit_the_period(length):
    times = [datetime(2019, 6, 1, tzinfo=UTC), datetime(2021, 2, 1, tzinfo=UTC)]
    with pytest.raises(InvalidInput, match="does not fit the period 2019 to 2021"):
        time_windows(None, None, years=(length,), seasons=False, times=times)


def test_a_window_without_scenes_is_refused_before_anything_is_read(tmp_path, reads):
    times = ("2019-03-01T10:00:00Z", "2021-03-01T10:00:00Z")
    specs = [typical_scene(np.random.default_rng(i), f"S{i}", time) for i, time in enumerate(times)]
    with pytest.raises(NoData, match="2020"):
        planned(write_archive(tmp_path, specs), years=(1,))
    assert not reads
