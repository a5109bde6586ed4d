"""The browser that tests drive: Debian's chromium."""

from pathlib import Path
from typing import Final

import pytest

CHROMIUM: Final = Path("/usr/bin/chromium")
# What one must not do: a sandbox that root cannot have, and requests of its own.
FLAGS: Final = ["--no-sandbox", "--disable-background-networking", "--no-first-run"]
NEEDED: Final = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")
