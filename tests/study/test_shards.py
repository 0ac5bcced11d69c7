"""How a study is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.study import Study
from regress.study.shards import Shard, cut_into_shards, initial_parameters
from tests.helpers import execute


def small(**fields: object) -> Study:
    return Study(
        **{
            "name": "small",
            "problem": "linear(rows=24, val=12)",
            "batch_sizes": [8],
            "replicates": 2,
            **fields,
        }
    )


@given(
    lrs=st.integers(1, 80),
    orders=st.lists(st.sampled_from(["shuffled", "signed", "sequential"]), min_size=1, unique=True),
    batch_sizes=st.lists(st.integers(1, 24), min_size=1, max_size=3, unique=True),
)
def test_shards_hold_every_trial_once(lrs: int, orders: list[str], batch_sizes: list[int]) -> None:
    study = small(lrs=[0.001 * (i + 1) for i in range(lrs)], orders=orders, batch_sizes=batch_sizes)
    cut = cut_into_shards(study)
    trials = [trial.digest for shard in cut for trial in shard.trials]
    assert sorted(trials) == sorted(trial.digest for trial in study.trials)
    for shard in cut:
        assert 1 <= len(shard.trials) <= 64
        assert len({(trial.contamination, trial.order, trial.batch_size) for trial in shard.trials}) == 1


def test_trials_that_differ_in_lr_alone_start_alike() -> None:
    (shard,) = cut_into_shards(small(lrs=[0.1, 0.2], sigmas=[0.0, 0.5, 1.0], losses=["l2", "l1"]))
    begun = initial_parameters(shard, range(3))
    by_sigma = {sigma: begun[i] for i, sigma in enumerate(trial.sigma for trial in shard.trials)}
    for lane, trial in enumerate(shard.trials):
        np.testing.assert_array_equal(begun[lane], by_sigma[trial.sigma])
        np.testing.assert_array_equal(begun[lane], trial.sigma * by_sigma[1.0])
    assert (begun[..., -1] == 0).all()
    assert len(np.unique(by_sigma[1.0][:, 0])) == 3
    np.testing.assert_array_equal(initial_parameters(shard, range(1, 3)), begun[:, 1:])


def test_the_start_is_standard_normal_times_sigma() -> None:
    shard = Shard(small(problem="linear(w=[1, 2], rows=24)", sigmas=[2.0]).trials)
    weights = initial_parameters(shard, range(5000))[0, :, :-1]
    assert abs(weights.mean()) < 2 * 5 / 10_000**0.5
    assert weights.std() == pytest.approx(2.0, rel=0.05)


def test_the_digest_of_the_rows_tells_contaminations_apart() -> None:
    lines = ["clean", "single", "vertical(fraction=0.25, shift=10)", "vertical(fraction=0.25, shift=9)"]
    done = execute(small(contaminations=lines, orders=["shuffled", "signed"]))
    assert len({shard.rows.digest for shard in done}) == 4
    assert {shard.rows.contaminated for shard in done} == {0, 1, 6}
    assert {shard.rows.rows for shard in done} == {24}
