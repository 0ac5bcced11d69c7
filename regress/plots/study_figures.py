"""The figures of a whole study: a row of panels for each contamination, a column for each loss."""

from collections.abc import Sequence

from regress.comparison import OrderEffect, ranked_order
from regress.estimators.references import Beside
from regress.metrics.summary import TrialSummary
from regress.plots.breakdown import breakdown, shares
from regress.plots.curves import by_epoch
from regress.plots.epochs import epochs_by_sigma
from regress.plots.grid import keyed
from regress.plots.heat import error_by_lr_and_sigma
from regress.plots.order_effects import order_effects
from regress.plots.style import to_png
from regress.plots.sweep import error_by_lr
from regress.study import Study


def study_plots(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[Beside] = (),
) -> dict[str, bytes]:
    """PNG files by name: the error by lr and sigma, the curves by epoch, what the orders changed, and more.

    What shows one order shows the one that is ranked. The orders are drawn by lr where there are two, or
    three learning rates; the epochs to tolerance by sigma where there are three; the error by share of
    outliers where one kind has three.
    """
    order = ranked_order(summaries)
    figures = {}
    for size in study.batch_sizes:
        suffix = f"-batch-{size}" if len(study.batch_sizes) > 1 else ""
        sized = [summary for summary in summaries if summary.trial.batch_size == size]
        own = keyed(summary for summary in sized if summary.trial.order == order)
        changed = [effect for effect in effects if effect.batch_size == size and effect.n]
        figures[f"error-by-lr-and-sigma{suffix}"] = error_by_lr_and_sigma(study, own)
        figures[f"error-by-epoch{suffix}"] = by_epoch(study, own, "param_error")
        figures[f"loss-by-epoch{suffix}"] = by_epoch(study, own, "train_loss")
        if changed:
            figures[f"order-effect{suffix}"] = order_effects(study, changed)
        if len(study.lrs) >= 3 or len(study.orders) > 1:
            figures[f"error-by-lr{suffix}"] = error_by_lr(study, sized, references)
        if len(study.sigmas) >= 3:
            figures[f"epochs-by-sigma{suffix}"] = epochs_by_sigma(study, own)
        if kinds := shares(study.contaminations):
            figures[f"breakdown{suffix}"] = breakdown(study, kinds, own, references)
    return {f"{name}.png": to_png(figure) for name, figure in figures.items()}
