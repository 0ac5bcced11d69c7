"""Milliseconds per figure: our figure of a trial, and the same figure by pyplot.

Our side draws the axes once for all trials of a study, which is not measured. The whole stage is all
figures of the default study as a run draws them, in this process and in a worker process; the peer's time
is extrapolated from single trials and leaves out the study's own figures.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from benchmarks.measure import Result, Side, take_turns
from regress.comparison import OrderEffect, compare
from regress.metrics.summary import Quantiles, TrialSummary
from regress.pipeline.run import train_alone
from regress.pipeline.steps import evaluate_shard
from regress.plots import Scales, render_study_figures, render_trial, render_trials, shared_scales
from regress.problems import Data
from regress.study import Study
from regress.study.load import load
from regress.study.shards import Shard, cut_into_shards
from tasks.figure_worker import figure_worker

ROUNDS = 3

PANELS = {
    "loss": {"train_loss": "training", "val_loss": "validation"},
    "parameter error": {"param_error": "‖w − w*‖"},
}


def plots() -> list[Result]:
    """Measure the figures of the default study's first shard, then all figures of the study."""
    study = load("default")
    cut = cut_into_shards(study)
    figure_worker.start()
    by_shard = [_trained(study, shard)[0] for shard in cut]
    all_summaries = [summary for summaries in by_shard for summary in summaries]
    summaries = all_summaries[: len(cut[0].trials)]
    effects = compare(all_summaries, study.problem.ranking, study.seed).orders
    scale = shared_scales(all_summaries)
    turns = cycle(summaries)
    ours, stage, peer = take_turns(
        ROUNDS,
        [
            Side(lambda: [render_trial(summary, scale) for summary in summaries], len(summaries)),
            Side(lambda: _stage(study, by_shard, effects), 1),
            Side(lambda: pyplot_png(next(turns), scale), 1),
        ],
    )
    note = "ours reuses axes drawn before; the peer lays out each figure"
    trials = len(all_summaries)
    whole = f"figures of {trials} trials and of the study; the peer's are extrapolated, trials only"
    return [
        Result("plots/pyplot", 1e3 * ours, 1e3 * peer, "ms/figure", note),
        Result("plots/stage", stage, trials * peer, "s", whole),
    ]


def _stage(
    study: Study, by_shard: Sequence[Sequence[TrialSummary]], effects: Sequence[OrderEffect]
) -> None:
    every = [summary for summaries in by_shard for summary in summaries]
    scale = shared_scales(every)
    figures = figure_worker.submit(render_study_figures, study, every, effects)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda summaries: figure_worker.draw_now(render_trials, summaries, scale), by_shard))
    figures.result()


def pyplot_png(summary: TrialSummary, shared: Scales) -> bytes:
    """Return the trial's figure as PNG, drawn by plt.subplots, tight_layout and savefig."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4))
    epochs = np.arange(1, shared.epochs + 1)
    limits = shared.loss, shared.error
    for panel, ylim, (ylabel, curves) in zip(axes, limits, PANELS.items(), strict=True):
        for name, label in curves.items():
            median, low, high = _finite(summary.histories[name])
            (line,) = panel.plot(epochs, median, label=label)
            panel.fill_between(epochs, low, high, color=line.get_color(), alpha=0.2, lw=0)
        panel.set(xlabel="epoch", ylabel=ylabel, yscale="log", ylim=ylim)
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        panel.grid(alpha=0.25)
        panel.legend(loc="upper right", frameon=False, fontsize=8)
    figure.suptitle(summary.trial.label)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    plt.close(figure)
    return buffer.getvalue()


def sample() -> tuple[Scales, TrialSummary, Data]:
    """Return the scales, the summary and the rows of a trial of the default study."""
    study = load("default")
    summaries, data = _trained(study, cut_into_shards(study)[0])
    return shared_scales(summaries), summaries[0], data


def _trained(study: Study, shard: Shard) -> tuple[tuple[TrialSummary, ...], Data]:
    clean = study.problem.draw(study.seed, study.replicates)
    data, trajectory = train_alone(shard, clean)
    return evaluate_shard(shard, data, clean, trajectory).summaries, data


def _finite(quantiles: Quantiles) -> Quantiles:
    """Replace values that are not finite by nan, which matplotlib does not draw."""
    return Quantiles(*(np.where(np.isfinite(values), values, np.nan) for values in quantiles))
