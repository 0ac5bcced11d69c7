"""Progress bars of the Python interface, in notebooks and terminals."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from regress.pipeline.submit import Progress, ignore_progress

_LABELS = {"models": "models trained", "trials": "trials tracked"}


@contextmanager
def progress_bars(totals: Mapping[str, int], shown: bool | None = None) -> Iterator[Progress]:
    """Yield a function that advances one bar for each unit in `totals`.

    Without `shown` there are bars in notebooks and where standard error is a terminal.
    """
    in_notebook = _is_in_notebook()
    if shown is None:
        shown = in_notebook or sys.stderr.isatty()
    if not shown:
        yield ignore_progress
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a notebook without ipywidgets gets bars of text
        from tqdm.auto import tqdm
    with ExitStack() as stack:
        bars = {
            unit: stack.enter_context(tqdm(total=total, desc=_LABELS[unit], leave=in_notebook))
            for unit, total in totals.items()
        }

        def advance(unit: str, count: int) -> None:
            bars[unit].update(count)

        yield advance


def _is_in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config
