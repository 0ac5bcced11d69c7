"""One thread for linear algebra, so that its bits do not depend on how many there are."""

from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController


def one_thread() -> None:
    """Keeps torch and BLAS from splitting their work, for good: how they split it changes last bits.

    Parallelism goes across shards, each in a thread of its own.
    """
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    _libraries().limit(limits=1)


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  # brings its own BLAS, which must be loaded to be found

    return ThreadpoolController().select(user_api="blas")
