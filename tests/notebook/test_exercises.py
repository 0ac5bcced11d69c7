"""The notebook's printed numbers in small ensembles, and its figures."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from regress import notebook
from regress.notebook import CONTROL, EXERCISES, Trained, locate
from regress.notebook.figures import render_exercise, render_second_derivative

SEEDS = 600


@pytest.fixture(scope="module")
def trained() -> Trained:
    exercises = (*EXERCISES, CONTROL)
    blocks = [
        notebook.train_block(notebook.distinct_trials(exercises, companions=first == 0), first, SEEDS // 2)
        for first in (0, SEEDS // 2)
    ]
    return notebook.join_blocks(blocks)


def test_every_printed_number_lies_in_its_ensemble(trained: Trained) -> None:
    rows = notebook.locate_exercises(EXERCISES, trained)
    assert [r for r in rows if r.inside is False] == []
    assert sum(r.inside is True for r in rows) == 27


def test_the_control_lies_outside(trained: Trained) -> None:
    assert [r.inside for r in notebook.locate_exercises((CONTROL,), trained)] == [False, False, False]


@pytest.mark.parametrize(
    "exercise", [e for e in EXERCISES if any(f.printed for f in e.fits)], ids=lambda e: e.name
)
def test_a_changed_number_lies_outside(exercise: notebook.Exercise, trained: Trained) -> None:
    for fit in exercise.fits:
        for i, printed in enumerate(fit.printed):
            if math.isnan(printed):
                continue
            changed = (*fit.printed[:i], printed * 1e9 + 1e9, *fit.printed[i + 1 :])
            wrong = replace(exercise, fits=(replace(fit, printed=changed),))
            assert [r.inside for r in notebook.locate_exercises((wrong,), trained)].count(False) == 1


def test_a_printed_nan_is_outside_where_nothing_diverges() -> None:
    assert locate("e", "f", "w", math.nan, np.arange(100.0)).inside is False
    assert locate("e", "f", "w", math.nan, np.full(100, np.nan)).inside is False
    half_nan = np.where(np.arange(100) < 50, np.nan, 1.0)
    assert locate("e", "f", "w", math.nan, half_nan).inside is True


def test_an_ensemble_does_not_depend_on_its_blocks(trained: Trained) -> None:
    trial = EXERCISES[0].fits[1].trial
    alone = notebook.train_block([trial], SEEDS // 2 + 5, 2).params[trial]
    assert (alone == trained.params[trial][SEEDS // 2 + 5 : SEEDS // 2 + 7]).all()


def test_the_last_batch_has_eight_rows() -> None:
    row = notebook.locate_last_batch()
    assert (row.notebook, row.median, row.inside) == (8.0, 8.0, True)


def test_the_notebooks_nan_is_text_in_json() -> None:
    assert locate("e", "f", "w", math.nan, np.arange(10.0)).as_json()["notebook"] == "nan"


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_the_figures_are_drawn(exercise: notebook.Exercise, trained: Trained) -> None:
    plots = render_exercise(exercise, trained)
    assert "ensemble.png" in plots
    for png in plots.values():
        image = Image.open(io.BytesIO(png)).convert("L")
        ink = (np.asarray(image) < 200).mean()
        assert 0.01 < ink < 0.6


def test_the_second_derivative_figure_shows_sin_and_its_derivatives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import regress.notebook.figures as plots

    figures = []
    monkeypatch.setattr(plots, "to_png", lambda figure: figures.append(figure) or b"")
    x = np.arange(-5, 5, 0.1)
    render_second_derivative(x)
    lines = [line.get_ydata() for line in figures[0].axes[0].get_lines()]
    for drawn, expected in zip(lines, (np.sin(x), np.cos(x), -np.sin(x)), strict=True):
        np.testing.assert_allclose(drawn, expected, atol=1e-15)


def test_ohms_figure_shows_the_measurements(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    import regress.notebook.figures as plots

    figures = []
    monkeypatch.setattr(plots, "to_png", lambda figure: figures.append(figure) or b"")
    ohm = next(e for e in EXERCISES if e.name == "ohm")
    render_exercise(ohm, trained)
    (points,) = [c for f in figures for a in f.axes for c in a.collections if len(c.get_offsets()) == 1000]
    data = ohm.fits[0].trial.problem.draw(0, 1)
    np.testing.assert_array_equal(points.get_offsets()[:, 1], data.train_y[0])
