"""Processor time a trial and peak memory of `regress run` as a study grows from 81 to 9,963 trials.

The default study with 1, 12, 40 and 123 learning rates, each from start to exit in a folder of its own,
less an empty Prefect flow in the same run. `ours` is a trial's milliseconds at this size and `peer` those
at the size before: time grows no faster than the trials where the ratio is 1 or more. Of processor time, as
a run takes minutes, in which other work on the machine comes and goes; the notes have the seconds.
"""

from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measure import Floats, Result
from benchmarks.study import EMPTY_FLOW, REGRESS_RUN, learning_rates, run, stages

RATES = (1, 12, 40, 123)


def growth() -> list[Result]:
    """The sizes one after the other, an empty flow before each."""
    results = []
    before: tuple[Floats, Floats] | None = None
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        run(EMPTY_FLOW, home)  # fills the home
        for count in RATES:
            empty = run(EMPTY_FLOW, home)
            ours = run([*REGRESS_RUN, "--set", learning_rates(count)], home)
            trials = ours.outcome["trials"]
            here = np.array([1e3 * (ours.busy - empty.busy) / trials]), np.array([ours.megabytes])
            if before is not None:
                note = f"{ours.seconds:.1f} s, an empty flow {empty.seconds:.1f}; {stages([ours])}"
                results += [
                    Result(f"growth/{trials}-trials", here[0], before[0], "ms/trial", note),
                    Result(f"growth/{trials}-memory", here[1], before[1], "MB", "the largest process"),
                ]
            before = here
    return results
