"""The result of a study: its trials, their comparison, and its tables and figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from regress.comparison import Comparison, RelativeEfficiency
from regress.errors import InputError, suggest
from regress.estimators.references import Reference
from regress.metrics.results import sort_results
from regress.metrics.summary import TrialSummary
from regress.report.html import render_html
from regress.report.outcome import Outcome, PublishedRow
from regress.report.tables import outcome_blocks
from regress.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from regress.plots.study_figures import Draw


@dataclass(frozen=True)
class StudyResult:
    """All trials of a study, trained and compared.

    `trials`, `epochs`, `best` and `order_effects` are pandas DataFrames; `plot(name)` draws a figure.

    Examples
    --------
    >>> import regress
    >>> study = regress.Study(problem="linear(rows=40, val=20)", lrs=[0.03, 0.3], replicates=4, epochs=2)
    >>> result = regress.run(study)
    >>> result.trials[["loss", "lr", "diverged_fraction"]]
      loss    lr  diverged_fraction
    0   l2  0.03                0.0
    1   l2  0.30                0.0
    >>> result.best["lr"].item()
    0.3
    >>> len(result.epochs)  # 2 trials, 2 epochs, 4 replicates
    16
    """

    study: Study
    summaries: tuple[TrialSummary, ...]
    tables: tuple[pa.Table, ...]  # rows of results.parquet, by shard
    comparison: Comparison
    efficiencies: tuple[RelativeEfficiency, ...]
    published: tuple[PublishedRow, ...]  # of a data set that others have published fits to
    references: tuple[Reference, ...] = ()  # none of a recorded execution
    contaminated: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)  # (R, n) by contamination
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage
    run_id: str | None = None  # of the execution in MLflow, where it is recorded

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each trial: its fields and its final metrics.

        A metric of a model that diverged is infinite; `coef_...` is then missing.
        """
        return pd.DataFrame([{**_fields(summary), **summary.all_metrics} for summary in self.summaries])

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """A row for each trial, epoch and replicate: coefficients, losses, error, divergence.

        `trial` is the digest by which the rows of `trials` are named.
        """
        table = sort_results(self.tables)
        frame: pd.DataFrame = table.drop_columns(["params", "params_digest"]).to_pandas()
        flat = table["params"].combine_chunks().flatten().to_numpy()
        for name, values in zip(
            self.study.problem.parameter_names, flat.reshape(len(table), -1).T, strict=True
        ):
            frame[f"coef_{name}"] = values
        return frame

    @cached_property
    def best(self) -> pd.DataFrame:
        """A row for each contamination: the best trial by the metric that ranks, with its quantiles."""
        return pd.DataFrame([asdict(row) for row in self.outcome.best])

    @cached_property
    def order_effects(self) -> pd.DataFrame:
        """A row for each order other than shuffled and each setting: how it changed the error.

        `log_ratio` is the median of log(error / shuffled's) over replicates, `lo` and `hi` its 95 %
        interval, `p_holm` the adjusted p of a Wilcoxon signed-rank test (Holm).
        """
        return pd.DataFrame([asdict(row) for row in self.outcome.orders])

    @cached_property
    def outcome(self) -> Outcome:
        """The outcome of the study, as typed records."""
        return Outcome.of(self.study, self.comparison, self.efficiencies, self.published)

    @property
    def plots(self) -> list[str]:
        """The names that `plot` takes."""
        return list(self._figures)

    def plot(self, name: str) -> "Figure":
        """Draw one of the study's figures.

        Raises
        ------
        InputError
            If `name` is none of `plots`.
        """
        if name not in self._figures:
            raise InputError(f"plot: {name!r} is unknown; {suggest(name, self._figures)}")
        return self._figures[name]()

    @cached_property
    def _figures(self) -> "Mapping[str, Draw]":
        from regress.plots.study_figures import study_figures

        return study_figures(self.study, self.summaries, self.comparison.orders, self.efficiencies)

    def _repr_html_(self) -> str:
        return render_html(outcome_blocks(self.outcome))


def _fields(summary: TrialSummary) -> dict[str, object]:
    trial = summary.trial
    return {"trial": trial.digest, **trial.model_dump(mode="json")}
