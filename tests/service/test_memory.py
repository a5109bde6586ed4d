"""Heaps of a process with many threads, as the C library counts them."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

_THREADS = """
import ctypes, sys, threading
from service.memory import few_heaps
if sys.argv[2] == "few":
    few_heaps()
libc = ctypes.CDLL(None)
libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
together = threading.Barrier(12)

def work():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
told = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, told)
libc.fclose(told)
"""


def heaps(tmp_path: Path, how: str, **environment: str) -> int:
    """How many heaps twelve threads have made."""
    told = tmp_path / "told.xml"
    command = [sys.executable, "-c", _THREADS, str(told), how]
    subprocess.run(command, check=True, env={**os.environ, **environment}, timeout=60)
    return len(ET.parse(told).getroot().findall("heap"))


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the one who runs the tests has set does not count."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)


def test_threads_share_few_heaps(tmp_path: Path) -> None:
    assert heaps(tmp_path, "many") > 4  # the C library's own way, or the test says nothing
    assert heaps(tmp_path, "few") <= 2


def test_the_operator_may_say_how_many(tmp_path: Path) -> None:
    assert heaps(tmp_path, "few", MALLOC_ARENA_MAX="6") > 2
