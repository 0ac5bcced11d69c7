"""Runs a command, then prints as JSON its exit code, seconds, processor time, its largest process's memory.

A script, run by a process of its own: what Linux counts as a command's peak memory begins at that of
the process that started it, and the benchmarks' own is large.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:], stdout=sys.stderr).pid, 0)
seconds = time.perf_counter() - began
busy = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, busy, usage.ru_maxrss / 1024]))
