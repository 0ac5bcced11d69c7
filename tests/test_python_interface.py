"""What `import regress` offers: in a script without a guard, in a notebook, recorded and not recorded."""

import doctest
import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from inspect import getdoc, isclass
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

import regress
from regress.comparison import Best
from regress.losses import L1, L2, Huber
from regress.metrics.table import METRICS, history_names

FIELDS = {"problem": "linear(rows=60, val=30)", "epochs": 3, "replicates": 4, "batch_sizes": [16]}
STUDY = regress.Study(
    name="door",
    contaminations=["clean", "vertical(fraction=0.2, shift=10)"],
    losses=["l2", "l1", "huber(delta=1)"],
    lrs=[0.03, 3.0, 300.0],
    orders=["shuffled", "easy-to-hard"],
    **FIELDS,
)
TABLE = regress.Study(
    name="stack",
    problem="table(dataset=stackloss)",
    losses=["l2", "l1"],
    lrs=[0.1, 0.5],
    batch_sizes=[4],
    replicates=4,
)
FRAMES = ("trials", "epochs", "best", "order_effects")

# Without a guard: a second process that imported this script again would run the study again.
SCRIPT = """
import regress

study = regress.Study(
    problem="linear(rows=60, val=30)",
    losses=["l2", "l1", "huber(delta=1)"],
    lrs=[0.003, 0.03],
    contaminations=["clean", "vertical(fraction=0.1, shift=10)"],
    epochs=2,
    replicates=3,
)
result = regress.run(study{options})
figure = result.plot("error-by-epoch")
print(len(result.trials), len(result.epochs), len(result.best), result.run_id is None, len(figure.axes))
"""


@pytest.fixture(scope="module")
def result() -> regress.StudyResult:
    return regress.run(STUDY)


def run_script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_names_are_those_that_are_documented() -> None:
    assert set(dir(regress)) == {*regress.__all__, "__version__"}
    assert set(regress.__all__) == set(regress._MODULES)
    for name in regress.__all__:
        assert getattr(regress, name) is getattr(import_module(regress._MODULES[name]), name)
        assert getdoc(getattr(regress, name))
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = regress.runn


def test_importing_regress_imports_no_heavy_library() -> None:
    heavy = {"torch", "mlflow", "prefect", "pandas", "numpy", "matplotlib", "numba", "scipy", "pydantic"}
    script = "import sys, regress; print(*sorted(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False)
    yield from finder.find(regress, "regress")
    for name in regress.__all__:
        for test in doctest.DocTestFinder().find(getattr(regress, name), name):
            if test.examples:
                yield test


EXAMPLES = {test.name: test for test in examples()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_docstring_runs(
    name: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    runner.run(EXAMPLES[name])
    assert runner.failures == 0, capsys.readouterr().out
    assert workplace.is_dir()


def test_every_name_has_an_example() -> None:
    documented = {name for name in regress.__all__ if not _is_error(name)}
    assert documented | {"regress"} <= EXAMPLES.keys()


def _is_error(name: str) -> bool:
    value = getattr(regress, name)
    return isclass(value) and issubclass(value, Exception)


def test_a_study_of_values_is_the_study_of_their_texts() -> None:
    by_value = regress.Study(losses=[L2(), Huber(delta=1.0), L1()], lrs=(0.1,))
    by_text = regress.Study(losses=["l2", "huber(delta=1)", "l1"], lrs=[0.1])
    assert by_value == by_text
    assert by_value.digest == by_text.digest
    assert by_value.name == "study"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"losses": ["hubr"]}, "losses: 'hubr' is unknown; did you mean huber?"),
        ({"lrs": []}, "lrs: the list is empty, expected at least one value"),
        ({"lrs": [0.1, 0.1]}, "lrs: 0.1 appears twice"),
        ({"epoch": 3}, "epoch: a study has no such field; did you mean epochs?"),
        ({"batch_sizes": [10_000]}, "batch_sizes: 10000 is more than the 1000 training rows"),
        ({"name": "My Study"}, "name: 'My Study' has other characters"),
        ({"epochs": "many"}, "epochs: "),
        ({"losses": "l2"}, "losses: "),
    ],
)
def test_an_invalid_field_is_one_sentence(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(regress.InputError) as caught:
        regress.Study(**fields)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    with pytest.raises(regress.InputError) as same:
        regress.load("default", **fields)
    assert str(same.value).startswith(sentence)


def test_other_invalid_input_is_one_sentence_too(workplace: Path, result: regress.StudyResult) -> None:
    with pytest.raises(regress.InputError, match="did you mean stackloss"):
        regress.load("stacklos")
    with pytest.raises(regress.InputError, match=r"cannot read nowhere\.yaml"):
        regress.run("nowhere.yaml")
    with pytest.raises(regress.InputError, match="resume: nothing is recorded without track"):
        regress.run(STUDY, resume=True)
    with pytest.raises(regress.InputError, match="plot: 'error' is unknown"):
        result.plot("error")
    with pytest.raises(regress.InputError, match="holds no finished execution"):
        regress.open_result()
    with pytest.raises(regress.InputError, match="no run 'abc'"):
        regress.open_result("abc")
    assert workplace.is_dir()


def test_studies_can_be_loaded() -> None:
    assert next(iter(regress.studies())) == "default"
    for name, question in regress.studies().items():
        assert regress.load(name).name == name
        assert question.endswith("?")


def test_a_file_s_study_takes_other_fields(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("losses: [l1]\nepochs: 2\n")
    assert regress.load(tmp_path / "mine.yaml", lrs=[0.5]) == regress.Study(
        name="mine", losses=["l1"], epochs=2, lrs=[0.5]
    )


def test_trials_have_a_row_for_each_trial(result: regress.StudyResult) -> None:
    assert list(result.trials["trial"]) == [trial.digest for trial in STUDY.trials]
    assert set(result.trials["loss"]) == {"l2", "l1", "huber(delta=1.0)"}
    finals = {metric.final_name for metric in METRICS.values() if metric.applies_to(STUDY.problem)}
    assert finals <= set(result.trials.columns)
    diverged = result.trials["diverged_fraction"] == 1.0
    assert diverged.any()
    assert np.isposinf(result.trials.loc[diverged, "final_param_error"]).all()
    assert result.trials.loc[diverged, "coef_w1"].isna().all()


def test_epochs_have_a_row_for_each_trial_epoch_and_replicate(result: regress.StudyResult) -> None:
    epochs = result.epochs
    assert len(epochs) == len(STUDY.trials) * STUDY.epochs * STUDY.replicates
    assert {*history_names(), "coef_w1", "coef_w2", "coef_b", "diverged"} <= set(epochs.columns)
    last = epochs[epochs["epoch"] == STUDY.epochs]
    median = last.groupby("trial")["coef_w1"].median()
    healthy = result.trials[result.trials["diverged_fraction"] == 0].set_index("trial")
    pd.testing.assert_series_equal(median[healthy.index], healthy["coef_w1"])


def test_best_and_order_effects_are_tables(result: regress.StudyResult) -> None:
    assert list(result.best["contamination"]) == ["clean", "vertical(fraction=0.2, shift=10.0)"]
    settings = len(STUDY.trials) // 2
    assert list(result.order_effects["order"]) == ["easy-to-hard"] * settings
    assert isinstance(result.comparison.best[0], Best)


def test_every_plot_is_a_figure(result: regress.StudyResult) -> None:
    assert {"error-by-lr", "error-by-epoch", "order-effect"} <= set(result.plots)
    assert all(isinstance(result.plot(name), Figure) for name in result.plots)


@pytest.mark.parametrize("study", [STUDY, TABLE], ids=lambda study: study.name)
def test_an_opened_result_equals_the_one_that_was_recorded(study: regress.Study, workplace: Path) -> None:
    recorded = regress.run(study, track=True)
    assert recorded.run_id is not None
    for opened in (regress.open_result("latest"), regress.open_result(recorded.run_id)):
        assert (opened.study, opened.run_id) == (study, recorded.run_id)
        for name in FRAMES:
            pd.testing.assert_frame_equal(getattr(opened, name), getattr(recorded, name))
        assert opened.outcome == recorded.outcome
        assert opened.plots == recorded.plots
        assert opened._repr_html_() == recorded._repr_html_()
        assert [best.trial for best in opened.comparison.best] == [
            b.trial for b in recorded.comparison.best
        ]
    for name in opened.plots:
        assert pixels(opened.plot(name)) == pixels(recorded.plot(name))
    untracked = regress.run(study)
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(untracked, name), getattr(recorded, name))
    assert not list((workplace / "home" / "checkpoints").glob("*"))


def pixels(figure: Figure) -> bytes:
    from regress.plots.style import to_png

    return to_png(figure)


def test_a_table_is_registered_as_the_command_does(workplace: Path) -> None:
    from regress.tracking.store import open_store

    regress.run(TABLE, track=True)
    assert open_store().client.get_model_version_by_alias("stack", "champion").version == 1
    assert workplace.is_dir()


def test_an_interrupted_execution_is_resumed(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regress.tracking import track_study
    from regress.tracking.store import open_store

    with monkeypatch.context() as patched:
        patched.setattr(track_study, "log_references", interrupt)
        with pytest.raises(KeyboardInterrupt):
            regress.run(STUDY, track=True)
    client = open_store().client
    experiment = client.get_experiment_by_name("door")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`regress.kind` = 'study'")
    assert parent.info.status == "KILLED"
    resumed = regress.run(STUDY, track=True, resume=True)
    assert resumed.run_id == parent.info.run_id
    assert client.get_run(resumed.run_id).info.status == "FINISHED"
    runs = client.search_runs([experiment.experiment_id], "tags.`regress.kind` = 'trial'")
    assert len(runs) == len(STUDY.trials)
    pd.testing.assert_frame_equal(regress.open_result().trials, resumed.trials)
    assert workplace.is_dir()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_script_without_a_guard_writes_nothing(tmp_path: Path) -> None:
    done = run_script(SCRIPT.replace("{options}", ""), tmp_path)
    assert (done.stdout, done.stderr) == ("12 72 2 True 6\n", "")
    assert [file.name for file in tmp_path.iterdir()] == ["script.py"]


def test_a_script_without_a_guard_records(tmp_path: Path) -> None:
    done = run_script(SCRIPT.replace("{options}", ", track=True"), tmp_path)
    assert done.stdout == "12 72 2 False 6\n", done.stderr
    assert done.stderr == ""
    assert {file.name for file in tmp_path.iterdir()} == {"script.py", "mlflow.db", "mlruns"}


def test_a_notebook_shows_a_table_a_bar_and_a_figure(tmp_path: Path) -> None:
    cells = [
        "import regress\n"
        "study = regress.Study(losses=['l2', 'l1'], contaminations=['clean'], epochs=2, replicates=3)\n"
        "result = regress.run(study)",
        "result",
        "result.trials[['loss', 'lr', 'final_param_error']]",
        "result.plot('error-by-epoch')",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    bar, table, frame, figure = (cell.outputs for cell in book.cells)
    text = "".join(output.text for output in bar if output.output_type == "stream")
    assert "models trained" in text
    assert "6/6" in text
    assert "Warning" not in text
    assert "<table" in table[0].data["text/html"]
    assert "final_param_error" in frame[0].data["text/html"]
    assert figure[0].data["image/png"]
    assert list(tmp_path.iterdir()) == []


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def test_names_in_a_notebook_are_escaped(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    frame = pd.DataFrame({script: np.arange(40.0), "y": np.arange(40.0) % 7})
    path = tmp_path / "a<b>&.csv"
    frame.to_csv(path, index=False)
    problem = f'table(path="{path}", target="y")'
    result = regress.run(regress.Study(problem=problem, batch_sizes=[4], epochs=2, replicates=2))
    parser = Tags()
    parser.feed(result._repr_html_())
    assert "script" not in parser.tags
    assert "table" in parser.tags
