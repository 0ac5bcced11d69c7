"""Losses whose constants are multiples of the residuals' own scale."""

import numpy as np
import pytest
import torch

from regress.contaminations import Vertical
from regress.estimators.optimum import converged_fit, lad, quantile_fit, residual_scale
from regress.fleet import Lane, Schedule, train
from regress.losses import LOSSES, Huber, Quantile, Tukey, Tuned
from regress.orders import Shuffled
from regress.problems import Linear, Table
from regress.problems.affine import Affine
from regress.study import Study
from tests.helpers import execute, refusal

TUNED = [cls for name in LOSSES if issubclass(cls := LOSSES[name], Tuned)]


def test_for_normal_noise_it_is_the_standard_deviation() -> None:
    data = Linear(noise=0.5, rows=4000).draw(0, 3)
    np.testing.assert_allclose(residual_scale(Affine(2), data), 0.5, rtol=0.06)
    # A tenth of the targets far off hardly move it; their own standard deviation would be 30.
    outliers = Vertical(0.1, 100.0).apply(data, Affine(2), 0)
    np.testing.assert_allclose(residual_scale(Affine(2), outliers), 0.5, rtol=0.25)


def test_it_scales_with_the_target() -> None:
    one, thousand = (
        residual_scale(Affine(2), Linear(w=(2.0 * k, -3.4 * k), b=4.2 * k, noise=0.1 * k).draw(0, 2))
        for k in (1.0, 1000.0)
    )
    np.testing.assert_allclose(thousand, 1000 * one, rtol=1e-6)


def test_rows_that_are_fitted_exactly_have_a_scale_all_the_same() -> None:
    scale = residual_scale(Affine(2), Linear(noise=0.0).draw(0, 2))
    assert (scale > 0).all()
    assert (scale < 1e-10).all()


@pytest.mark.parametrize("cls", TUNED, ids=lambda cls: cls.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_power_of_two_as_the_scale_is_that_many_times_the_constant(
    cls: type[Tuned], dtype: torch.dtype
) -> None:
    # Times 4 is exact: c = 1 in units of s = 4 is c = 4, bit for bit or nearly so.
    data = Linear(rows=200, noise=1.0).draw(0, 2)
    model, order = Affine(2), Shuffled().permutations(data, Affine(2), 0, 2, 32)
    rows = model.table(data.train_x, data.train_y, dtype)
    scaled, raw = cls(1.0, "mad"), cls(4.0)  # type: ignore[call-arg]
    start, schedule = np.zeros((1, 2, 3)), Schedule(32, "mean", "weight")
    scales = {scaled: np.full(2, 4.0)}
    one = train(model, rows, order, start, [Lane(scaled, 0.03)], schedule, scales=scales)
    other = train(model, rows, order, start, [Lane(raw, 0.03)], schedule)
    torch.testing.assert_close(one.params, other.params, rtol=1e-5, atol=1e-6)


def test_each_stream_has_its_own_and_a_trial_is_still_itself() -> None:
    fields = {
        "name": "scaled",
        "contaminations": ["clean", "vertical(fraction=0.1, shift=10)"],
        "replicates": 3,
        "epochs": 3,
        "lrs": [0.03, 0.3],
    }
    whole = Study.model_validate(fields | {"losses": ["l2", "huber(delta=1.345, scale=mad)", "tukey"]})
    alone = Study.model_validate(fields | {"losses": ["huber(delta=1.345, scale=mad)"], "lrs": [0.3]})
    lines = {repr(line) for done in execute(whole) for line in done.table.to_pylist()}
    assert {repr(line) for done in execute(alone) for line in done.table.to_pylist()} <= lines


def test_a_table_s_target_is_the_loss_s_own_fit_in_its_own_scale() -> None:
    table = Table(dataset="stackloss")
    data = table.draw(0, 1)
    (scale,) = residual_scale(table.model, data)
    x, y = data.train_x[0], data.train_y[0]
    by_scale = converged_fit(Huber(1.345, "mad"), x, y, float(scale))
    by_constant = converged_fit(Huber(1.345 * float(scale)), x, y)
    np.testing.assert_allclose(by_scale, by_constant, atol=1e-6)


def test_a_redescending_fit_leaves_far_rows_alone() -> None:
    data = Linear(noise=1.0).draw(0, 1)
    outliers = Vertical(0.2, 100.0).apply(data, Affine(2), 0)
    x, y, bad = outliers.train_x[0], outliers.train_y[0], outliers.contaminated[0]
    np.testing.assert_allclose(
        converged_fit(Tukey(4.685), x, y), converged_fit(Tukey(4.685), x[~bad], y[~bad]), atol=1e-6
    )


def test_quantiles_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=501)
    ones = np.ones((501, 1))
    for tau in (0.1, 0.5, 0.9):
        assert quantile_fit(ones, y, tau)[0] == pytest.approx(np.quantile(y, tau), abs=1e-9)
    x = rng.normal(size=(501, 2))
    np.testing.assert_allclose(converged_fit(Quantile(0.5), x, y), lad(x, y), atol=1e-9)
    w = converged_fit(Quantile(0.9), x, y)
    assert np.mean(y < x @ w[:2] + w[2]) == pytest.approx(0.9, abs=0.005)


def test_a_black_body_has_no_pilot_fit() -> None:
    fields = {"problem": "planck(form=scaled)", "losses": ["huber(scale=mad)"], "sigmas": [3000]}
    message = refusal(lambda: Study(**{"name": "hot", **fields}))
    assert "losses: huber(delta=1.0, scale=mad) needs a linear model" in message
