"""Become `python -m ARGUMENTS` with default signal handling: the script that starts each service.

A shell's background jobs ignore SIGINT, and so does everything that they start. Prefect's worker, which
stops by SIGINT, could then not be stopped by SIGTERM either.
"""

import os
import signal
import sys

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
