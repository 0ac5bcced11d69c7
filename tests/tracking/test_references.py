"""References in a real store, through the real flow."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from regress.estimators import references as module
from regress.numerics.quantiles import nearest_rank
from regress.study import Study

pytestmark = pytest.mark.usefixtures("prefect_server")


def run_flow(study: Study) -> dict[str, Any]:
    from flows.robustness import robustness

    return robustness(study)


def runs(outcome: dict[str, Any], kind: str) -> list[Run]:
    """The execution's child runs of one kind, as any client reads them."""
    mine = f"tags.`mlflow.parentRunId` = '{outcome['study_run_id']}' AND tags.`regress.kind` = '{kind}'"
    return list(MlflowClient().search_runs([outcome["experiment_id"]], mine, max_results=1000))


def by_estimator(outcome: dict[str, Any]) -> dict[str, Run]:
    return {run.data.params["estimator"]: run for run in runs(outcome, "reference")}


def artifact(run_id: str, name: str, folder: Path) -> bytes:
    return Path(MlflowClient().download_artifacts(run_id, name, str(folder))).read_bytes()


def fits(run: Run, folder: Path) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(artifact(run.info.run_id, "fits.csv", folder)))


def test_each_reference_is_a_child_run(workplace: Path, small_study: Study) -> None:
    outcome = run_flow(small_study)
    problem, (contamination,) = small_study.problem, small_study.contaminations
    clean = problem.draw(small_study.seed, small_study.replicates)
    data = contamination.apply(clean, problem.model, small_study.seed)
    fitted = module.fit_references(problem, contamination, data, clean)
    expected = {ref.estimator.name: ref for ref in fitted}
    found = by_estimator(outcome)
    assert set(found) == set(expected) == {"ols", "lad", "huber-m"}
    trials = runs(outcome, "trial")
    assert len(trials) == len(small_study.trials)
    for name, run in found.items():
        reference = expected[name]
        assert run.info.status == "FINISHED"
        assert run.data.params == {
            "estimator": name,
            "library": reference.estimator.library,
            "contamination": str(contamination),
            "problem": str(problem),
        }
        assert "regress.failures" not in run.data.tags
        assert run.data.metrics == reference.metrics
        errors = reference.finals["final_param_error"]
        for suffix, q in (("", 0.5), ("_q05", 0.05), ("_q95", 0.95)):
            assert run.data.metrics[f"final_param_error{suffix}"] == nearest_rank(errors, q)
        assert run.data.metrics["converged_fraction"] == 1
        table = fits(run, workplace)
        np.testing.assert_array_equal(table[["coef_w1", "coef_w2", "coef_b"]], reference.user_params)
        np.testing.assert_array_equal(table.final_param_error, errors)
        assert table.failure.isna().all()
    logged = {key for trial in trials for key in trial.data.metrics}
    shared = {key for key in logged if key.startswith(("final_", "excess_risk", "coef_"))}
    assert shared
    assert shared <= set(found["ols"].data.metrics)


def test_the_comparison_has_references_and_the_best_trial(workplace: Path, small_study: Study) -> None:
    outcome = run_flow(small_study)
    (best,) = outcome["best"]
    results = pd.read_parquet(io.BytesIO(artifact(outcome["study_run_id"], "results.parquet", workplace)))
    (winner,) = (
        trial.digest
        for trial in small_study.trials
        if (str(trial.loss), trial.lr, str(trial.order)) == (best["loss"], best["lr"], best["order"])
    )
    own = results[(results.trial == winner) & (results.epoch == small_study.epochs)].param_error
    recorded = json.loads(artifact(outcome["study_run_id"], "comparison.json", workplace))
    assert recorded["references"] == outcome["references"]
    assert [row["estimator"] for row in outcome["references"]] == ["ols", "lad", "huber-m"]
    found = by_estimator(outcome)
    for row in outcome["references"]:
        run = found[row["estimator"]]
        errors = fits(run, workplace).final_param_error
        assert row["median"] == run.data.metrics["final_param_error"]
        assert row["efficiency"] == pytest.approx((errors**2).mean() / (own**2).mean())
        assert row["converged"] == 1
    assert "published" not in outcome


def test_a_study_goes_on_where_an_estimator_finds_no_fit(
    workplace: Path,
    small_study: Study,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from flows.cli.main import execute

    monkeypatch.setattr(module, "ITERATIONS", 1)
    outcome = run_flow(small_study)
    output = capfd.readouterr()
    assert "Warning" not in output.out + output.err
    assert MlflowClient().get_run(outcome["study_run_id"]).info.status == "FINISHED"
    found = by_estimator(outcome)
    assert found["huber-m"].data.metrics == {"converged_fraction": 0.0}
    assert "after 1 iterations" in found["huber-m"].data.tags["regress.failures"]
    assert found["lad"].data.metrics["converged_fraction"] == 1
    recorded = json.loads(artifact(outcome["study_run_id"], "comparison.json", workplace))
    row = next(row for row in recorded["references"] if row["estimator"] == "huber-m")
    assert row["converged"] == 0
    assert row["median"] is row["efficiency"] is row["excess_risk"] is None
    assert execute(["show"]) == 0
    assert "huber-m has no fit in 100% of the replicates" in capfd.readouterr().out


def test_stackloss_is_held_against_its_published_fits(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.cli.main import execute

    study = {
        "name": "rows",
        "problem": "table(dataset=stackloss)",
        "batch_sizes": [4],
        "epochs": 5,
        "replicates": 3,
    }
    outcome = run_flow(Study(**study))
    published = json.loads(artifact(outcome["study_run_id"], "published.json", workplace))
    assert published == outcome["published"]
    assert [row["fit"] for row in published] == ["ols", "lad", "huber-m", "huber(delta=1.0)"]
    assert all(row["agrees"] for row in published)
    found = by_estimator(outcome)
    assert {row["estimator"]: row["median"] for row in outcome["references"]} == {
        name: run.data.metrics["val_median_abs_residual"] for name, run in found.items()
    }
    capsys.readouterr()
    assert execute(["show"]) == 0
    shown = capsys.readouterr().out
    assert "Compared with reference estimators: median |residual| on held-out rows" in shown
    assert "4 of 4 agree" in shown
    assert "-41.02653" in shown  # R's
