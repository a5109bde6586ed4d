"""Fixtures for all layers."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real test data that is not part of the repository."""
    if not _SHARED.is_dir():
        pytest.skip("the shared test data are not beside the repository")
    return _SHARED
