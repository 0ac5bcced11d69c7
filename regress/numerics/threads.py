"""Single-threaded linear algebra, so that results do not depend on the number of processor cores."""

from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController


def limit_to_one_thread() -> None:
    """Limit torch and BLAS to one thread each for the rest of the process.

    How they split work among threads changes the order of sums, hence the last bits of results. A study
    runs in parallel across shards instead, each in its own thread.
    """
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    _libraries().limit(limits=1)


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  # loads SciPy's own BLAS, since only loaded libraries are found

    return ThreadpoolController().select(user_api="blas")
