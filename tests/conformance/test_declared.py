"""What the service states is what is tested, and what the documents say."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.conformance.conftest import Service

_HERE = Path(__file__).parent
_DOCUMENT = _HERE.parents[1] / "docs" / "conformance.md"
_SPEC = "http://www.opengis.net/spec"
_SECTION = re.compile(r"^## [^\n]*\(`([a-z0-9./-]+)`\)\n(.*?)(?=^## |\Z)", re.M | re.S)
_CLASS = re.compile(r"/conf/([a-z0-9-]+)(?:/|$)")


def _modules() -> list[ModuleType]:
    names = sorted(path.stem for path in _HERE.glob("test_*.py"))
    found = (importlib.import_module(f"tests.conformance.{name}") for name in names)
    return [module for module in found if hasattr(module, "PART")]


def _tested(module: ModuleType) -> set[str]:
    """Addresses of the classes that the docstrings of a module's tests name."""
    tests = [each for name, each in vars(module).items() if name.startswith("test_")]
    ids = {name for test in tests for word in (test.__doc__ or "").split() for name in _CLASS.findall(word)}
    return {f"{_SPEC}/{module.PART}/conf/{name}" for name in ids}


@pytest.fixture(scope="module")
def stated(service: Service) -> list[str]:
    return service.json("/conformance")["conformsTo"]


def test_every_class_stated_has_tests_and_every_class_tested_is_stated(stated: list[str]) -> None:
    tested = set().union(*(_tested(module) for module in _modules()))
    assert tested == set(stated)
    assert len(stated) == len(set(stated))


@pytest.mark.parametrize("module", _modules(), ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_test_names_its_abstract_test(module: ModuleType) -> None:
    for name, test in vars(module).items():
        if name.startswith("test_"):
            assert _CLASS.match((test.__doc__ or "").strip()), f"{module.__name__}.{name}"


def test_the_document_lists_the_same_classes(stated: list[str]) -> None:
    told: set[str] = set()
    for part, body in re.findall(
        r"^## [^\n]*\(`([a-z0-9./-]+)`\)\n(.*?)(?=^## |\Z)", _DOCUMENT.read_text(), re.M | re.S
    ):
        told |= {f"{_SPEC}/{part}/conf/{name}" for name in re.findall(r"^\| `([a-z0-9-]+)` \|", body, re.M)}
    assert told == set(stated)
