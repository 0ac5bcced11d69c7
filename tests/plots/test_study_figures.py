"""The figures of a study: their names, and that theory is drawn and named only where it applies."""

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from regress.comparison import RelativeEfficiency, compare
from regress.contaminations import Clean, GrossError, HeavyTails, Vertical
from regress.metrics.summary import TrialSummary
from regress.plots import render_study_figures
from regress.plots.breakdown import draw_breakdown, group_by_fraction
from regress.plots.curves import draw_curves
from regress.plots.epochs import draw_epochs_by_sigma
from regress.plots.grid import index_by_setting
from regress.plots.heat import draw_heat_map
from regress.plots.sweep import draw_error_by_lr
from regress.study import Study
from tests.theory.test_predictions import train_trials

EDGE = "theory: stability edge of the mean"
SQUARE_EDGE = "theory: stability edge of the mean square"
LIMIT = "theory: limit of the repeated order"
STATIONARY = "theory: stationary root mean square error"
LAW = "theory: law of the initial scale"
BIAS = "theory: bias of the intercept"


def small(**fields: Any) -> Study:
    given = {"name": "small", "problem": "linear(noise=0.1, rows=64, val=1)", "lrs": [0.03, 0.3, 3.0]}
    return Study(**given | {"replicates": 3, "epochs": 4, **fields})


def reference(study: Study, estimator: str, value: float) -> list[RelativeEfficiency]:
    return [
        RelativeEfficiency(
            str(c), estimator, study.problem.ranking, value, value, value, 1.0, 0.0, None, None
        )
        for c in study.contaminations
    ]


def by_lr(study: Study, summaries: list[TrialSummary]) -> Figure:
    return draw_error_by_lr(study, summaries, reference(study, "ols", 0.01))


def theory_labels(figure: Figure) -> set[str]:
    """Return the labels of theory in the legends."""
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return {text for text in texts if text.startswith("theory")}


def vertical_lines(figure: Figure, panel: int) -> list[float]:
    """Return the x of the vertical lines of a panel."""
    lines = figure.axes[panel].get_lines()
    xs = [np.unique(np.asarray(line.get_xdata(), float)) for line in lines if len(line.get_xdata()) == 2]
    return sorted({float(x[0]) for x in xs if len(x) == 1})


def readable(value: dict[str, Any] | set[str]) -> str:
    """Return a test id that is the same in every process, which a set's text is not."""
    return str(value if isinstance(value, dict) else sorted(value))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lrs": [0.03]}, set()),
        ({"lrs": [0.03, 0.1]}, set()),
        ({}, {"error-by-lr"}),
        ({"lrs": [0.03], "orders": ["shuffled", "signed"]}, {"error-by-lr", "order-effect"}),
        ({"lrs": [0.03], "sigmas": [0, 1]}, set()),
        ({"lrs": [0.03], "sigmas": [0, 1, 10]}, {"epochs-by-sigma"}),
        ({"lrs": [0.03], "contaminations": ["clean", "vertical(fraction=0.1, shift=9)"]}, set()),
        (
            {
                "lrs": [0.03],
                "contaminations": [
                    "clean",
                    "vertical(fraction=0.1, shift=9)",
                    "vertical(fraction=0.2, shift=9)",
                ],
            },
            {"breakdown"},
        ),
        ({"batch_sizes": [8, 16]}, {"error-by-lr-batch-8", "error-by-lr-batch-16"}),
    ],
    ids=readable,
)
def test_figures_follow_from_what_a_study_varies(
    fields: dict[str, Any], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regress.plots.study_figures.to_png", lambda figure: b"")
    study = small(**fields)
    summaries = train_trials(study)
    effects = compare(summaries, study.problem.ranking, study.seed).orders
    plots = render_study_figures(study, summaries, effects, reference(study, "ols", 0.01))
    always = ("error-by-lr-and-sigma", "error-by-epoch", "loss-by-epoch")
    names = {name.removesuffix(".png") for name in plots}
    assert {name for name in names if not name.startswith(always)} == expected


def test_every_figure_is_a_readable_png() -> None:
    study = small(
        contaminations=["clean", *(f"vertical(fraction={fraction}, shift=9)" for fraction in (0.1, 0.2))],
        sigmas=[0, 1, 10],
        orders=["shuffled", "signed"],
    )
    summaries = train_trials(study)
    effects = compare(summaries, study.problem.ranking, study.seed).orders
    plots = render_study_figures(study, summaries, effects, reference(study, "ols", 0.01))
    assert len(plots) == 7
    for png in plots.values():
        assert Image.open(io.BytesIO(png)).getcolors(10) is None  # more than ten


def test_edges_are_drawn_in_the_panels_of_squared_loss() -> None:
    study = small(losses=["l2", "huber"], orders=["with-replacement"])
    summaries = train_trials(study)
    theory = summaries[0].theory
    figure = by_lr(study, summaries)
    assert theory_labels(figure) == {EDGE, SQUARE_EDGE, STATIONARY}
    assert vertical_lines(figure, 0) == pytest.approx([theory["mean_square_edge"], theory["mean_edge"]])
    assert vertical_lines(figure, 1) == []


def test_heat_map_edges_are_interpolated_between_learning_rates() -> None:
    study = small(losses=["l2", "huber"])
    summaries = train_trials(study)
    figure = draw_heat_map(study, index_by_setting(summaries))
    assert theory_labels(figure) == {EDGE}
    place = 1.5 + np.log10(summaries[0].theory["mean_edge"] / 0.3)
    squared, huber = (lines_between_rows(axis) for axis in figure.axes[:2])
    assert [x for x, _, _ in squared] == pytest.approx([place] * len(squared))
    assert squared
    assert not any(low < row + 0.5 < high for _, low, high in squared for row in range(len(study.sigmas)))
    assert huber == []


def lines_between_rows(axis: Axes) -> list[tuple[float, float, float]]:
    """Return x, bottom and top of each piece of a vertical line."""
    pieces = [line for c in axis.collections if isinstance(c, LineCollection) for line in c.get_segments()]
    return [(float(start[0]), float(start[1]), float(end[1])) for start, end in pieces]


def test_of_many_learning_rates_only_some_get_tick_labels() -> None:
    study = small(lrs=np.geomspace(0.001, 0.1, 40).tolist(), epochs=1)
    figure = draw_heat_map(study, index_by_setting(train_trials(study)))
    assert figure.get_size_inches()[0] < 12
    panel = figure.axes[0]
    assert len(panel.get_xticks()) <= 12
    assert len(panel.texts) == 1  # the contamination's name


def test_a_long_title_is_wrapped() -> None:
    study = small(name="a-study-of-a-name-that-is-rather-long-for-a-figure")
    figure = draw_curves(study, index_by_setting(train_trials(study)), "param_error")
    (title,) = (text.get_text() for text in figure.texts if "diverged" in text.get_text())
    assert "\n" in title


@pytest.mark.parametrize("lrs", [[0.03, 0.1, 0.3], [3.0, 0.3, 0.03]], ids=["below", "falling"])
def test_an_edge_outside_the_axis_is_neither_drawn_nor_named(lrs: list[float]) -> None:
    study = small(lrs=lrs)
    figure = draw_heat_map(study, index_by_setting(train_trials(study)))
    assert theory_labels(figure) == set()
    assert vertical_lines(figure, 0) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, {EDGE}),
        ({"orders": ["shuffled", "signed"]}, {EDGE, LIMIT}),
        ({"orders": ["shuffled", "signed"], "epochs": 1}, {EDGE}),
        ({"orders": ["with-replacement"], "batch_sizes": [30]}, {EDGE}),
        (
            {"orders": ["with-replacement"], "batch_sizes": [30], "tail": "drop"},
            {EDGE, SQUARE_EDGE, STATIONARY},
        ),
        ({"losses": ["l1", "huber"], "orders": ["shuffled", "signed", "with-replacement"]}, set()),
        ({"problem": "table(dataset=stackloss)", "batch_sizes": [4], "orders": ["sequential"]}, {EDGE}),
    ],
    ids=readable,
)
def test_the_legend_names_the_theory_that_applies(fields: dict[str, Any], named: set[str]) -> None:
    study = small(**fields)
    assert theory_labels(by_lr(study, train_trials(study))) == named


def test_the_limit_is_marked_at_its_predicted_error() -> None:
    study = small(orders=["sequential"], lrs=[0.03, 0.1, 0.3], epochs=60)
    summaries = train_trials(study)
    (axis,) = by_lr(study, summaries).axes
    (crosses,) = [line for line in axis.get_lines() if line.get_marker() == "x"]
    np.testing.assert_array_equal(crosses.get_xdata(), study.lrs)
    np.testing.assert_array_equal(crosses.get_ydata(), [s.theory["frozen_error"] for s in summaries])


def test_references_are_drawn_in_their_contamination_s_panels() -> None:
    study = small(contaminations=["clean", "vertical(fraction=0.1, shift=9)"])
    clean, shifted = reference(study, "ols", 0.01)[0], reference(study, "ols", 0.5)[1]
    figure = draw_error_by_lr(study, train_trials(study), [clean, shifted])
    for axis, value in zip(figure.axes, (0.01, 0.5), strict=True):
        levels = [y for line in axis.get_lines() if len(y := line.get_ydata()) == 2 and y[0] == y[1]]
        assert [y[0] for y in levels] == [value]


def test_the_law_of_the_initial_scale_is_drawn_for_noiseless_rows_only() -> None:
    study = small(sigmas=[0, 1, 10], tolerance=0.2, problem="linear(rows=64, val=1)")
    figure = draw_epochs_by_sigma(study, index_by_setting(train_trials(study)))
    assert theory_labels(figure) == {LAW}
    noisy = small(sigmas=[0, 1, 10], problem="linear(noise=1.0, rows=64, val=1)")
    assert theory_labels(draw_epochs_by_sigma(noisy, index_by_setting(train_trials(noisy)))) == set()


def test_contaminations_are_grouped_by_kind_with_clean_rows_as_fraction_0() -> None:
    few, many, clean = Vertical(0.1, 9.0), Vertical(0.2, 9.0), Clean()
    gross_errors = [GrossError(0.3, 9.0, 1.0), GrossError(0.1, 9.0, 1.0), GrossError(0.2, 9.0, 1.0)]
    assert group_by_fraction([many, clean, few]) == {
        "vertical(shift=9.0)": {0.0: clean, 0.1: few, 0.2: many}
    }
    assert list(group_by_fraction([many, clean, few])["vertical(shift=9.0)"]) == [0.0, 0.1, 0.2]
    assert group_by_fraction([few, many]) == {}
    assert group_by_fraction([clean, few, Vertical(0.2, 8.0)]) == {}
    assert group_by_fraction([HeavyTails(1.0), HeavyTails(2.0), HeavyTails(3.0)]) == {}
    assert list(group_by_fraction([few, *gross_errors])) == ["gross-error(shift=9.0, spread=1.0)"]


def test_the_bias_is_drawn_for_the_best_trials() -> None:
    study = small(
        problem="linear(noise=1.0, rows=64, val=1)",
        contaminations=[f"vertical(fraction={fraction}, shift=100)" for fraction in (0.1, 0.2, 0.4)],
        losses=["l2", "l1"],
    )
    summaries = index_by_setting(train_trials(study))
    figure = draw_breakdown(
        study, group_by_fraction(study.contaminations), summaries, reference(study, "ols", 0.01)
    )
    assert theory_labels(figure) == {BIAS}
    (bias,) = [line.get_ydata() for line in figure.axes[0].get_lines() if line.get_label() == BIAS]
    assert bias == pytest.approx([0.140, 0.319, 0.967], abs=1e-3)  # Phi^-1(1 / (2 (1 - fraction)))
    mild = study.model_copy(update={"contaminations": tuple(Vertical(f, 2.0) for f in (0.1, 0.2, 0.4))})
    mild_figure = draw_breakdown(
        mild, group_by_fraction(mild.contaminations), index_by_setting(train_trials(mild)), []
    )
    assert theory_labels(mild_figure) == set()
