"""A registered model: found under its alias, predicting by itself, tied to its execution."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mlflow import MlflowClient

from regress.pipeline.refit import Refit
from regress.study import Study, Trial
from regress.tracking.affine_predictor import AffinePredictor
from regress.tracking.champion import log_champion
from regress.tracking.execution import Execution, begin_execution
from regress.tracking.store import open_store

TRIAL = Trial.model_validate(
    {
        "problem": "table(dataset=stackloss)",
        "contamination": "clean",
        "loss": "huber",
        "lr": 0.1,
        "sigma": 0.01,
        "order": "shuffled",
        "batch_size": 4,
    }
)
FITTED = Refit(
    trial=TRIAL,
    features=("AIRFLOW", "acid, %", "données"),
    target="lost",
    coefficients=(0.5, -2.5, 0.125),
    intercept=-39.75,
    example=np.array([[80.0, 27.0, 89.0], [75.0, 25.5, 90.0]]),
)


def executed(uri: str, name: str = "plant") -> Execution:
    return begin_execution(open_store(uri), Study(name=name), "somebody", {})


@pytest.fixture(params=["sqlite", "server"])
def uri(request: pytest.FixtureRequest, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of each kind, which is also the process's own, as it is a user's."""
    if request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("mlflow_server"))
    return str(mlflow.get_tracking_uri())


def test_it_is_registered_as_the_champion_and_predicts(uri: str) -> None:
    champion = log_champion(executed(uri), "plant", FITTED)
    assert (champion.name, champion.version) == ("plant", "1")
    model = mlflow.pyfunc.load_model(champion.uri)
    rows = pd.DataFrame(
        # Whole numbers, columns in another order, one too many, an index of its own.
        {"lost": [1, 2, 3], "données": [9, 8, 7], "AIRFLOW": [80, 62, 1], "acid, %": [27.5, 22.0, 3.0]},
        index=[7, 3, 5],
    )
    predicted = model.predict(rows)
    expected = rows[[*FITTED.features]].to_numpy(float) @ np.array(FITTED.coefficients) + FITTED.intercept
    pd.testing.assert_frame_equal(
        predicted, pd.DataFrame({"lost": expected}, index=rows.index), check_exact=True
    )
    with pytest.raises(Exception, match="missing inputs \\['AIRFLOW'\\]"):
        model.predict(rows.drop(columns="AIRFLOW"))


def test_what_it_takes_and_gives_is_in_its_signature_and_example(uri: str, tmp_path: Path) -> None:
    champion = log_champion(executed(uri), "signed", FITTED)
    model = mlflow.pyfunc.load_model(champion.uri)
    signature = model.metadata.signature
    assert signature.inputs.input_names() == list(FITTED.features)
    assert [(out.name, out.type.name) for out in signature.outputs] == [("lost", "double")]
    pd.testing.assert_frame_equal(
        model.input_example, pd.DataFrame(FITTED.example, columns=[*FITTED.features])
    )
    folder = Path(mlflow.artifacts.download_artifacts(champion.uri))
    answer = tmp_path / "answer.json"
    mlflow.models.predict(
        champion.uri,
        input_path=str(folder / "serving_input_example.json"),
        content_type="json",
        output_path=str(answer),
        env_manager="local",
    )
    served = pd.DataFrame(json.loads(answer.read_text())["predictions"])
    pd.testing.assert_frame_equal(served, model.predict(model.input_example))


def test_it_needs_numpy_and_what_loads_it(uri: str) -> None:
    champion = log_champion(executed(uri), "light", FITTED)
    folder = Path(mlflow.artifacts.download_artifacts(champion.uri))
    needs = (folder / "requirements.txt").read_text().split()
    assert needs == [f"{name}=={version(name)}" for name in ("mlflow", "numpy")]
    assert [file.name for file in (folder / "code").glob("*.py")] == ["affine_predictor.py"]
    assert "-r requirements.txt" in (folder / "python_env.yaml").read_text()


def test_model_and_execution_name_each_other(uri: str) -> None:
    client = MlflowClient(uri)
    execution = executed(uri)
    first = log_champion(execution, "linked", FITTED)
    found = client.get_model_version_by_alias("linked", "champion")
    assert str(found.version) == first.version == "1"
    assert found.run_id == execution.run_id
    assert found.tags == {"regress.execution": execution.run_id, "regress.trial": TRIAL.digest}
    run = client.get_run(execution.run_id)
    assert run.data.tags["regress.model"] == "linked/1"
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.status == "READY"
    assert logged.source_run_id == execution.run_id
    assert logged.params["loss"] == "huber(delta=1.0)"
    assert json.loads(logged.tags["mlflow.modelVersions"])[0]["name"] == "linked"

    again = log_champion(executed(uri), "linked", FITTED)
    assert again.version == "2"
    assert str(client.get_model_version_by_alias("linked", "champion").version) == "2"
    assert client.get_model_version("linked", "1").run_id == execution.run_id


def test_executions_side_by_side_register_one_name(uri: str) -> None:
    executions = [executed(uri) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        champions = list(threads.map(lambda one: log_champion(one, "crowded", FITTED), executions))
    assert sorted(int(champion.version) for champion in champions) == [1, 2, 3, 4, 5, 6]
    assert MlflowClient(uri).get_model_version_by_alias("crowded", "champion")


def test_it_goes_to_the_execution_s_store_whatever_the_process_s_own(
    workplace: Path, migrated_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mlflow.db"
    shutil.copy(migrated_store, elsewhere)
    log_champion(executed(f"sqlite:///{elsewhere}"), "plant", FITTED)
    assert [found.name for found in MlflowClient(f"sqlite:///{elsewhere}").search_registered_models()] == [
        "plant"
    ]
    assert MlflowClient().search_registered_models() == []


def test_nothing_is_said(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    execution = executed(uri)
    capfd.readouterr()
    for _ in range(2):
        log_champion(execution, "silent", FITTED)
    assert capfd.readouterr() == ("", "")


WHOLE = st.integers(-(2**20), 2**20).map(float)  # whose products and sums are exact in any order


@given(x=arrays(float, (4, 3), elements=WHOLE), w=arrays(float, 3, elements=WHOLE), b=WHOLE)
def test_it_predicts_products_and_a_sum(x: np.ndarray, w: np.ndarray, b: float) -> None:
    rows = pd.DataFrame(x, columns=["p", "q", "r"])
    predicted = AffinePredictor(["p", "q", "r"], "t", w.tolist(), b).predict(rows[["r", "p", "q"]])
    np.testing.assert_array_equal(predicted["t"], x @ w + b)


@given(x=arrays(float, (9, 3), elements=st.floats(-1e6, 1e6)), row=st.integers(0, 8))
def test_a_row_is_predicted_as_it_is_alone(x: np.ndarray, row: int) -> None:
    rows = pd.DataFrame(x, columns=["p", "q", "r"])
    predictor = AffinePredictor(["p", "q", "r"], "t", [0.1, -2.3, 1e-3], 0.7)
    assert predictor.predict(rows).t[row] == predictor.predict(rows.iloc[[row]]).t[row]


def test_a_version_that_an_interrupted_attempt_left_is_not_doubled(uri: str) -> None:
    execution = executed(uri, "twice")
    first = log_champion(execution, "twice", FITTED)
    assert log_champion(execution, "twice", FITTED) == first
    assert len(MlflowClient(uri).search_model_versions("name = 'twice'")) == 1
    assert log_champion(executed(uri, "twice"), "twice", FITTED).version == "2"
