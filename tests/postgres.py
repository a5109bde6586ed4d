"""A PostgreSQL server of the tests' own, where Debian's or another's programs are installed."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ACCOUNT = "postgres"


def _programs() -> Path | None:
    """Folder of initdb and its like, the latest version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _as_account(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; its packages bring an account."""
    return ["runuser", "-u", _ACCOUNT, "--", *command] if os.getuid() == 0 else command


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server with its data in ``folder``; gives the address of its database, without an end of its own to spare."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    if os.getuid() == 0:
        try:
            account = pwd.getpwnam(_ACCOUNT)
        except KeyError:
            pytest.skip("there is no account for PostgreSQL, which does not run as root")
        os.chown(folder, account.pw_uid, account.pw_gid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = {"check": True, "capture_output": True, "timeout": 120, "cwd": folder}
    subprocess.run(
        _as_account([str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]), **run
    )
    options = f"-F -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    control = str(programs / "pg_ctl")
    log = str(folder / "log")
    started = [control, "-D", str(data), "-w", "-l", log, "-o", options, "start"]
    subprocess.run(_as_account(started), check=True, timeout=120, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        # Not waited for: where nobody reaps the server's process, it seems to live on.
        subprocess.run(_as_account([control, "-D", str(data), "-m", "immediate", "-W", "stop"]), **run)
