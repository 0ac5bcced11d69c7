"""Runs a study in a process that ends by SIGKILL at its n-th access to a file or a socket.

Counted are the moments in which Python opens, renames, makes or removes files, those of libraries left out,
or connects to a database or a server: they lie between any two things that a study leaves behind, and
depend on no clock. All is imported once; each attempt is a fork.
"""

import json
import os
import signal
import sys
from typing import Any

_COUNTED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "socket.connect", "sqlite3.connect"}


def attempt(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the study; how many accesses it took."""
    from flows.robustness import robustness
    from flows.session import drain
    from regress.load import validate

    os.environ["MLFLOW_TRACKING_URI"] = request["store"]
    os.environ["REGRESS_HOME"] = request["home"]
    study = validate(request["study"])
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _COUNTED and not str(arguments[0]).startswith((sys.prefix, sys.base_prefix)):
            count += 1
            if count == request["last"]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    state = robustness(study, resume=request["resume"], return_state=True)
    accesses = count
    drain(state.state_details.flow_run_id)
    return {"accesses": accesses, "study_run_id": state.result()["study_run_id"]}


def main() -> None:
    """Answers each request, a line of JSON, by another: how the attempt ended, and what it said."""
    import statsmodels.robust.robust_linear_model  # noqa: F401

    import flows.robustness  # noqa: F401

    for line in sys.stdin:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, json.dumps(attempt(json.loads(line))).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            said = answer.read()
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": status, **(json.loads(said) if said else {})}), flush=True)


if __name__ == "__main__":
    main()
