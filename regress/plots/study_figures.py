"""The figures of a whole study, by name."""

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.figure import Figure

from regress.comparison import OrderEffect, RelativeEfficiency, ranked_order
from regress.metrics.summary import TrialSummary
from regress.orders import Order
from regress.plots.breakdown import draw_breakdown, group_by_fraction
from regress.plots.curves import draw_curves
from regress.plots.epochs import draw_epochs_by_sigma
from regress.plots.grid import index_by_setting
from regress.plots.heat import draw_heat_map
from regress.plots.order_effects import draw_order_effects
from regress.plots.style import to_png
from regress.plots.sweep import draw_error_by_lr
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
        of_size = [summary for summary in summaries if summary.trial.batch_size == size]
        effects_of_size = [effect for effect in effects if effect.batch_size == size and effect.n]
        sized_figures = _figures_of_batch_size(
            study, of_size, effects_of_size, references, ranked_order(summaries)
        )
        figures |= {f"{name}{suffix}": draw for name, draw in sized_figures.items()}
    return figures


def _figures_of_batch_size(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[RelativeEfficiency],
    order: Order,
) -> dict[str, Draw]:
    ranked = index_by_setting(summary for summary in summaries if summary.trial.order == order)
    figures: dict[str, Draw] = {
        "error-by-lr-and-sigma": partial(draw_heat_map, study, ranked),
        "error-by-epoch": partial(draw_curves, study, ranked, "param_error"),
        "loss-by-epoch": partial(draw_curves, study, ranked, "train_loss"),
    }
    if effects:
        figures["order-effect"] = partial(draw_order_effects, study, effects)
    if len(study.lrs) >= 3 or len(study.orders) > 1:
        figures["error-by-lr"] = partial(draw_error_by_lr, study, summaries, references)
    if len(study.sigmas) >= 3:
        figures["epochs-by-sigma"] = partial(draw_epochs_by_sigma, study, ranked)
    if kinds := group_by_fraction(study.contaminations):
        figures["breakdown"] = partial(draw_breakdown, study, kinds, ranked, references)
    return figures


def render_study_figures(
    study: Study,
    summaries: Sequence[TrialSummary],
    effects: Sequence[OrderEffect],
    references: Sequence[RelativeEfficiency] = (),
) -> dict[str, bytes]:
    """Return all figures of the study as PNG files by name."""
    figures = study_figures(study, summaries, effects, references)
    return {f"{name}.png": to_png(draw()) for name, draw in figures.items()}
