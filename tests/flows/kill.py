"""Runs a study in a process that ends by SIGKILL at its n-th access to a file or a socket.

Counted are the moments in which Python writes, renames, makes or removes files, or connects to a database
or a server: they lie between any two things that a study leaves behind, and depend on no clock. All is
imported once; each attempt is a fork on the core that the command line names, and alone there it starts no
second process, which would import all again.
"""

import json
import os
import signal
import sys
from typing import Any

_COUNTED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "socket.connect", "sqlite3.connect"}


def _only_reads(flags: int) -> bool:
    return not flags & (os.O_WRONLY | os.O_RDWR)


def attempt(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the study; how many accesses it took."""
    from flows.robustness import robustness
    from flows.runtime.session import run_flow
    from regress.study import Study

    os.environ["MLFLOW_TRACKING_URI"] = request["store"]
    os.environ["REGRESS_HOME"] = request["home"]
    study = Study(**request["study"])
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _COUNTED and not (event == "open" and _only_reads(arguments[2])):
            count += 1
            if count == request["last"]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    outcome = run_flow(robustness, lambda *_: None, study, request["resume"])
    return {"accesses": count, "study_run_id": outcome["study_run_id"]}


def main() -> None:
    """Answers each request, a line of JSON, by another: how the attempt ended, and what it said."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    import sklearn.linear_model  # noqa: F401
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
