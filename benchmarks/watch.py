"""Script that runs a command and prints its exit code, seconds, processor time and peak memory as JSON.

It runs in a small process of its own, since Linux counts a command's peak memory from that of the process
that started it, which is large for the benchmarks.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:], stdout=sys.stderr).pid, 0)
seconds = time.perf_counter() - began
cpu_seconds = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, cpu_seconds, usage.ru_maxrss / 1024]))
