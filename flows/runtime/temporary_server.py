"""A Prefect server for one command where none is configured, started before anything heavy is imported.

Prefect would start the same server itself, but only after importing its client and the whole server in this
process, which takes as long as the server's own start.
"""

import atexit
import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

_APP = Path(__file__).with_name("temporary_server_app.py")
_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # analytics lock the database
    "DO_NOT_TRACK": "1",
}
_NAMES_A_SERVER = re.compile(
    r"^\s*(PREFECT_API_|PREFECT_SERVER_ALLOW_EPHEMERAL|\[(tool\.prefect\.)?api\]|api\.)", re.M
)
_STOP_SECONDS = 5.0


def start_temporary_server() -> None:
    """Start a server that ends with this process, unless Prefect may be configured to use another.

    Sets environment variables, hence is for entry points only. Requests wait in the server's socket until
    it answers. If Prefect has been imported already, it knows its server or starts one just as fast.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if "prefect" in sys.modules or _may_be_configured():
        return
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        fd, (host, port) = listener.fileno(), listener.getsockname()
        # In a session of its own, because Ctrl-C is for the flow run, which waits for the server's answers.
        # -P: neither the working folder nor this one is searched for modules named like a library.
        server = subprocess.Popen(
            [sys.executable, "-P", str(_APP), str(fd)], pass_fds=(fd,), start_new_session=True
        )
    atexit.register(_stop, server)
    os.environ["PREFECT_API_URL"] = f"http://{host}:{port}/api"
    os.environ["PREFECT_UI_URL"] = ""  # links to a temporary server would be dead


def _may_be_configured() -> bool:
    """Return whether the environment, a profile or a file of the working folder may name a server."""
    if any(name.startswith(("PREFECT_API_", "PREFECT_PROFILE")) for name in os.environ):
        return True
    profiles = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "profiles.toml"
    files = (profiles, Path(".env"), Path("prefect.toml"), Path("pyproject.toml"))
    return any(
        file.is_file() and _NAMES_A_SERVER.search(file.read_text(errors="replace")) for file in files
    )


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
