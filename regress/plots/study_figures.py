"""The figures of a whole study: a row of panels for each contamination, a column for each loss."""

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.figure import Figure

from regress.comparison import OrderEffect, RelativeEfficiency, ranked_order
from regress.metrics.summary import TrialSummary
from regress.orders import Order
from regress.plots.breakdown import breakdown, shares
from regress.plots.curves import by_epoch
from regress.plots.epochs import epochs_by_sigma
from regress.plots.grid import keyed
from regress.plots.heat import error_by_lr_and_sigma
from regress.plots.order_effects import order_effects
from regress.plots.style import to_png
from regress.plots.sweep import error_by_lr
from regress.study import Study

Draw = Callable[[], Figure]


def study_figures(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[RelativeEfficiency] = (),
) -> dict[str, Draw]:
    """Return the study's figures by name, each drawn when it is called.

    Error by lr and sigma, curves by epoch and order effects, and where the study has enough values: the
    error by lr (two orders or three learning rates), the epochs to tolerance by sigma (three), the error by
    fraction of outliers (three of one kind). A figure of one order shows the order that is ranked.
    """
    figures: dict[str, Draw] = {}
    for size in study.batch_sizes:
        suffix = f"-batch-{size}" if len(study.batch_sizes) > 1 else ""
        sized = [summary for summary in summaries if summary.trial.batch_size == size]
        changed = [effect for effect in effects if effect.batch_size == size and effect.n]
        of_size = _figures_of_batch_size(study, sized, changed, references, ranked_order(summaries))
        figures |= {f"{name}{suffix}": draw for name, draw in of_size.items()}
    return figures


def _figures_of_batch_size(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[RelativeEfficiency],
    order: Order,
) -> dict[str, Draw]:
    ranked = keyed(summary for summary in summaries if summary.trial.order == order)
    figures: dict[str, Draw] = {
        "error-by-lr-and-sigma": partial(error_by_lr_and_sigma, study, ranked),
        "error-by-epoch": partial(by_epoch, study, ranked, "param_error"),
        "loss-by-epoch": partial(by_epoch, study, ranked, "train_loss"),
    }
    if effects:
        figures["order-effect"] = partial(order_effects, study, effects)
    if len(study.lrs) >= 3 or len(study.orders) > 1:
        figures["error-by-lr"] = partial(error_by_lr, study, summaries, references)
    if len(study.sigmas) >= 3:
        figures["epochs-by-sigma"] = partial(epochs_by_sigma, study, ranked)
    if kinds := shares(study.contaminations):
        figures["breakdown"] = partial(breakdown, study, kinds, ranked, references)
    return figures


def study_plots(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[RelativeEfficiency] = (),
) -> dict[str, bytes]:
    """Return all figures of the study as PNG files by name."""
    figures = study_figures(study, summaries, effects, references)
    return {f"{name}.png": to_png(draw()) for name, draw in figures.items()}
