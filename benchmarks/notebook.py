"""Time per seed for all exercises of the notebook: the fleet, and the notebook's own training loop.

Our side trains the blocks of `regress notebook`, including data, outliers and orders; 10,000 seeds are
twenty blocks. The peer trains one model at a time with DataLoader, autograd and torch.optim.SGD, as the
notebook does, on four seeds per round.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import Result, Side, take_turns
from regress.notebook import BLOCK, CONTROL, EXERCISES, distinct_trials, train_block
from regress.problems import Planck
from regress.problems.planck import C, H, K
from regress.study import Trial
from regress.values.text import Form

ROUNDS = 5
SEEDS = 4  # seeds that the peer trains per round

TRIALS = distinct_trials((*EXERCISES, CONTROL), companions=False)


def notebook() -> list[Result]:
    """Measure all exercises, our blocks and the peer's seeds in turn."""
    blocks, seeds = count(1), count()

    def train(threads: int) -> None:
        firsts = [next(blocks) * BLOCK for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda first: train_block(TRIALS, first, BLOCK), firsts))

    ours, threads, peer = take_turns(
        ROUNDS,
        [
            Side(lambda: train(1), BLOCK),
            Side(lambda: train(2), 2 * BLOCK),
            Side(lambda: _loop([next(seeds) for _ in range(SEEDS)]), SEEDS),
        ],
    )
    note = (
        f"{len(TRIALS)} models per seed, training only; extrapolated to 10,000 seeds,"
        f" ours takes {ours.mean() * 1e4:,.0f} s in one thread, the peer {peer.mean() * 1e4 / 3600:.1f} h"
    )
    return [
        Result("notebook/loop", 1e3 * ours, 1e3 * peer, "ms/seed", note),
        Result("notebook/two-threads", 1e3 * threads, 1e3 * peer, "ms/seed", "ours with 2 threads"),
    ]


def _loop(seeds: list[int]) -> None:
    for seed in seeds:
        for trial in TRIALS:
            _fit(trial, seed)


def _fit(trial: Trial, seed: int) -> None:
    """Train one model of the notebook by the notebook's own loop."""
    data = trial.contamination.apply(trial.problem.draw(0, 1, first=seed), trial.problem.model, 0)
    x = torch.tensor(data.train_x[0], dtype=torch.float32)
    y = torch.from_numpy(data.train_y[0]).float()[:, None]
    if isinstance(trial.problem, Planck):
        parameters = [torch.full((1, 1), trial.sigma, requires_grad=True)]
    else:
        w = (torch.randn(x.shape[1], 1) * trial.sigma).requires_grad_()
        parameters = [w, torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.SGD(parameters, lr=trial.lr)
    batches = DataLoader(
        TensorDataset(x, y), trial.batch_size, shuffle=True, drop_last=trial.tail == "drop"
    )
    for _ in range(trial.epochs):
        for inputs, targets in batches:
            optimizer.zero_grad()
            losses = _loss(trial.loss, _predict(trial, parameters, inputs), targets)
            reduced = losses.sum() if trial.reduction == "sum" else losses.mean()
            torch.autograd.backward(reduced)
            optimizer.step()


def _predict(trial: Trial, parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    if isinstance(trial.problem, Planck):
        (temperature,) = parameters
        return 2 * H * C**2 / x**5 / (torch.exp(H * C / (K * x) / temperature) - 1)
    w, b = parameters
    return x @ w + b


def _loss(loss: Form, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if loss.name == "l2":
        return (prediction - target) ** 2 / 2
    if loss.name == "l1":
        return (prediction - target).abs()
    return torch.nn.functional.smooth_l1_loss(prediction, target, reduction="none")
