"""Processor time per trial and peak memory of `regress run` as a study grows from 81 to 9,963 trials.

The default study runs with 1, 12, 40 and 123 learning rates, each from start to exit in a new folder. The
time of an empty Prefect flow is subtracted. `ours` are the milliseconds per trial at this size and `peer`
those at the previous size: a ratio of 1 or more means that time grows no faster than the number of trials.
Processor time is used since a run takes minutes, during which the machine's load changes; wall-clock times
are in the notes.
"""

from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measure import Floats, Result
from benchmarks.study import EMPTY_FLOW, REGRESS_RUN, describe_stages, learning_rates, run

RATES = (1, 12, 40, 123)


def growth() -> list[Result]:
    """Measure each size in turn, with an empty flow before each."""
    results = []
    previous: tuple[Floats, Floats] | None = None
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        run(EMPTY_FLOW, home)  # creates Prefect's database
        for count in RATES:
            empty = run(EMPTY_FLOW, home)
            ours = run([*REGRESS_RUN, "--set", learning_rates(count)], home)
            trials = ours.outcome["trials"]
            milliseconds = np.array([1e3 * (ours.cpu_seconds - empty.cpu_seconds) / trials])
            megabytes = np.array([ours.megabytes])
            if previous is not None:
                note = (
                    f"{ours.seconds:.1f} s, an empty flow {empty.seconds:.1f} s; {describe_stages([ours])}"
                )
                results += [
                    Result(f"growth/{trials}-trials", milliseconds, previous[0], "ms/trial", note),
                    Result(f"growth/{trials}-memory", megabytes, previous[1], "MB", "the largest process"),
                ]
            previous = milliseconds, megabytes
    return results
