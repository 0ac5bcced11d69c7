"""A real PostgreSQL for tests: in a temporary folder, on loopback, as an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port


def binaries() -> Path | None:
    """Where PostgreSQL 15 or newer keeps its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found and int(found[-1].parts[-3]) >= 15:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).parent if path else None


def require_postgres() -> Path:
    """The programs' folder; without them the test is skipped, and fails where CI=true."""
    folder = binaries()
    if folder is None:
        reason = "PostgreSQL's initdb is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@contextmanager
def postgres() -> Iterator[str]:
    """The URI of a fresh database; the server is stopped and its folder removed at the end."""
    programs = require_postgres()
    folder = Path(tempfile.mkdtemp(prefix="regress-postgres-"))
    demoted: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        demoted = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=180, **demoted)

    data, port = folder / "data", free_port()
    run("initdb", "-D", str(data), "-U", "regress", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    run("pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "regress", "regress")
        yield f"postgresql://regress@127.0.0.1:{port}/regress"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)
