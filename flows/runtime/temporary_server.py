"""Prefect's server for one command where none is configured, on its way before anything is imported.

Prefect would start the same by itself, but not until its client and all of its server are imported in this
process too, which takes as long as the server's own start.
"""

import atexit
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

_SERVE = """
import sys

import uvicorn
from prefect.server.api.server import create_app

uvicorn.run(create_app(ephemeral=True), fd=int(sys.argv[1]), log_level="error")
"""
_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # it locks the database
    "DO_NOT_TRACK": "1",
}
_ELSEWHERE = re.compile(
    r"^\s*(PREFECT_API_|PREFECT_SERVER_ALLOW_EPHEMERAL|\[(tool\.prefect\.)?api\]|api\.)", re.M
)
_STOPPING = 5.0  # seconds


def start() -> None:
    """Starts a server, unless Prefect may be told of one; it is stopped when this process ends.

    Requests wait in its socket until it answers. Where Prefect has been imported already it knows of its
    server, or starts one as fast.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if "prefect" in sys.modules or _may_be_configured():
        return
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        fd, (host, port) = listening.fileno(), listening.getsockname()
        # In a session of its own: Ctrl-C is for the flow run, which waits for the server's answers.
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(fd)], pass_fds=(fd,), start_new_session=True
        )
    atexit.register(_stop, server)
    os.environ["PREFECT_API_URL"] = f"http://{host}:{port}/api"
    os.environ["PREFECT_UI_URL"] = ""  # nobody can look there later


def _may_be_configured() -> bool:
    """Whether the environment, a profile or a file here names a server; then Prefect finds out which."""
    if any(name.startswith(("PREFECT_API_", "PREFECT_PROFILE")) for name in os.environ):
        return True
    profiles = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "profiles.toml"
    files = (profiles, Path(".env"), Path("prefect.toml"), Path("pyproject.toml"))
    return any(file.is_file() and _ELSEWHERE.search(file.read_text(errors="replace")) for file in files)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
