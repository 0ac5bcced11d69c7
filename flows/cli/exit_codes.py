"""Exit codes of the command `regress`."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; 70 and 75 are those of sysexits.h, 130 is the shell's for Ctrl-C."""

    OK = 0
    CHECK_FAILED = 1  # a number outside its ensemble, drifted numbers, a problem found by `doctor`
    BAD_INPUT = 2
    INCONCLUSIVE = 3
    INTERNAL_ERROR = 70
    SERVICE_LOST = 75
    INTERRUPTED = 130
