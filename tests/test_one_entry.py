"""A metric, a loss and an order that one entry adds appear wherever such things appear."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from pydantic.dataclasses import dataclass

import regress
from flows.cli.main import execute
from regress.losses import LOSSES, Loss
from regress.metrics.measurement import Measurement
from regress.metrics.results import results_schema
from regress.metrics.table import METRICS, Metric
from regress.orders import ORDERS, Order
from regress.orders.order import Permutations
from regress.problems import Data, Model
from regress.tracking.find import find_execution
from regress.tracking.read import read_record
from regress.tracking.store import Store, open_store
from regress.values.text import STRICT

FIELDS = {"problem": "linear(rows=60, val=30)", "epochs": 3, "replicates": 3, "batch_sizes": [16]}


@dataclass(frozen=True, config=STRICT)
class Half(Loss):
    """Half of squared loss."""

    name = "half"
    has_bounded_psi = False

    def rho(self, u: torch.Tensor) -> torch.Tensor:
        return u * u / 4

    def psi(self, u: torch.Tensor) -> torch.Tensor:
        return u / 2


@dataclass(frozen=True, config=STRICT)
class Backwards(Order):
    """The rows from the last to the first."""

    name = "backwards"
    looks_at_rows = False

    @property
    def is_fixed(self) -> bool:
        return True

    def permutations(
        self, data: Data, model: Model, seed: int, epochs: int, batch_size: int
    ) -> Permutations:
        backwards = np.arange(data.rows)[::-1]
        return np.broadcast_to(backwards, (data.replicates, epochs, data.rows))


def largest_weight(m: Measurement) -> np.ndarray:
    return np.abs(m.params).max(axis=-1)


WEIGHT = Metric(
    name="largest_weight",
    label="largest weight",
    kind="history",
    unit="parameters",
    measure=largest_weight,
    is_listed=True,
)


@pytest.fixture
def added(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setitem(LOSSES._built_in, "half", Half)
    monkeypatch.setitem(ORDERS._built_in, "backwards", Backwards)
    monkeypatch.setitem(METRICS, "largest_weight", WEIGHT)
    assert workplace.is_dir()
    return open_store()


@pytest.fixture
def result(added: Store) -> regress.StudyResult:
    assert added is not None
    study = regress.Study(
        name="added", losses=["l2", "half"], orders=["shuffled", "backwards"], lrs=[0.1, 0.3, 1.0], **FIELDS
    )
    return regress.run(study, track=True)


def test_a_metric_appears_everywhere(
    added: Store, result: regress.StudyResult, capsys: pytest.CaptureFixture[str]
) -> None:
    name, final = "largest_weight", "final_largest_weight"
    assert name in results_schema().names
    assert name in result.epochs
    assert {final, f"{final}_q05", f"{final}_q95"} <= set(result.trials)
    last = result.epochs[result.epochs["epoch"] == 3]
    expected = last[["coef_w1", "coef_w2", "coef_b"]].abs().max(axis=1)
    np.testing.assert_allclose(last[name], expected)
    execution = find_execution(added, "latest")
    client: MlflowClient = added.client
    (run, *_) = client.search_runs(
        [execution.info.experiment_id], "tags.`regress.kind` = 'trial' and params.loss = 'half'"
    )
    assert {name, final, f"{final}_q05"} <= set(run.data.metrics)
    assert len(client.get_metric_history(run.info.run_id, name)) == 3
    tags = client.get_experiment(execution.info.experiment_id).tags
    assert any(f"metrics.`{final}`" in text for text in tags.values())
    assert name in read_record(added, execution).rows.metrics
    assert regress.open_result().trials.equals(result.trials)
    capsys.readouterr()
    assert execute(["show", "--sort", final, "--csv", "trials.csv"]) == 0
    assert final in capsys.readouterr().out.replace("\n", "")
    assert final in Path("trials.csv").read_text().splitlines()[0]


def test_a_loss_appears_everywhere(
    added: Store, result: regress.StudyResult, capsys: pytest.CaptureFixture[str]
) -> None:
    l2, half = (result.trials[result.trials["loss"] == loss] for loss in ("l2", "half"))
    assert len(l2) == len(half) == 6
    assert not half["final_param_error"].isna().any()
    assert {trial.loss for trial in result.study.trials} == {regress.Study().losses[0], Half()}
    assert "half" in result.order_effects["loss"].to_list()
    titles = {axis.get_title() for axis in result.plot("error-by-lr").axes}
    assert {"l2", "half"} <= titles
    capsys.readouterr()
    assert execute(["show", "--where", "loss=half and order=backwards"]) == 0
    assert "3 of 12 trials" in capsys.readouterr().out
    execution = find_execution(added, "latest")
    assert read_record(added, execution).study.losses[1] == Half()
    assert regress.open_result().outcome == result.outcome


def test_an_order_appears_everywhere(
    added: Store, result: regress.StudyResult, capsys: pytest.CaptureFixture[str]
) -> None:
    assert added is not None
    assert set(result.order_effects["order"]) == {"backwards"}
    assert len(result.order_effects) == 6
    assert "order-effect" in result.plots
    labels = {text.get_text() for text in result.plot("error-by-lr").legends[0].get_texts()}
    assert {"shuffled", "backwards"} <= labels
    capsys.readouterr()
    assert execute(["show", "--where", "order=backwards"]) == 0
    assert "6 of 12 trials" in capsys.readouterr().out
