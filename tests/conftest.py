"""Fixtures for all layers."""

from pathlib import Path

import hypothesis
import pytest

# Shared machines are slow at times; what fails once should fail again.
hypothesis.settings.register_profile("cup4soil", deadline=None, derandomize=True)
hypothesis.settings.load_profile("cup4soil")

# In all folders below.
pytest_plugins = ["tests.needs"]

_REPOSITORY = Path(__file__).resolve().parents[1]
_SHARED = _REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real test data that is not part of the repository."""
    if not _SHARED.is_dir():
        pytest.skip("the shared test data are not beside the repository")
    return _SHARED
