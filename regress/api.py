"""The Python interface: what `import regress` offers."""

from os import PathLike, fspath
from typing import Any

from regress.errors import InputError
from regress.pipeline import run as pipeline
from regress.progress import progress_bars
from regress.report.study_result import StudyResult
from regress.study import Study
from regress.study.load import load as load_study
from regress.study.load import question, shipped


def run(
    study: Study | str | PathLike[str],
    *,
    track: bool = False,
    resume: bool = False,
    progress: bool | None = None,
) -> StudyResult:
    """Train, evaluate and compare all trials of a study in this process.

    Parameters
    ----------
    study
        A study, the name of a shipped one, or the path of a YAML file.
    track
        Record the execution in MLflow, where `MLFLOW_TRACKING_URI` says, by default in `mlflow.db` in the
        working folder: one run for each trial, files and figures, as `regress run` records them. Without it
        nothing is written but compiled code, which is kept in the folder `REGRESS_HOME`.
    resume
        Finish the newest tracked execution of this study that was interrupted, if there is one.
    progress
        Whether to show bars; by default in notebooks and terminals.

    Returns
    -------
    StudyResult
        Tables as pandas DataFrames, and figures; `run_id` names the execution if it was tracked.

    Raises
    ------
    InputError
        The study is invalid, or the store cannot be used.
    ServiceLost
        The store could not be reached any more, or a disk is full; run again with `resume=True`.

    Examples
    --------
    >>> import regress
    >>> study = regress.Study(
    ...     contaminations=["clean", "vertical(fraction=0.1, shift=10)"], losses=["l2", "l1"]
    ... )
    >>> result = regress.run(study)
    >>> result.best[["contamination", "loss"]]
                            contamination loss
    0                               clean   l2
    1  vertical(fraction=0.1, shift=10.0)   l1
    """
    if resume and not track:
        raise InputError("resume: nothing is recorded without track=True")
    chosen = study if isinstance(study, Study) else load(study)
    trials = len(chosen.trials)
    if not track:
        with progress_bars({"models": trials * chosen.replicates}, progress) as advance:
            return pipeline.run(chosen, progress=advance)
    from regress.tracking.store import open_store
    from regress.tracking.track_study import track_study

    store = open_store()
    with progress_bars({"models": trials * chosen.replicates, "trials": trials}, progress) as advance:
        return track_study(store, chosen, advance, resume=resume)


def load(study: str | PathLike[str], **fields: Any) -> Study:
    """Return a shipped study, or one from a YAML file, with `fields` in place of its own.

    Raises
    ------
    InputError
        There is no such study, or a field is unknown or invalid.

    Examples
    --------
    >>> import regress
    >>> regress.load("default", epochs=3).epochs
    3
    >>> regress.load("defualt")
    Traceback (most recent call last):
    ...
    regress.errors.InputError: study: 'defualt' is neither a path to YAML nor shipped; did you mean default?
    """
    loaded = load_study(fspath(study))
    return Study(**loaded.model_dump(mode="json") | fields) if fields else loaded


def studies() -> dict[str, str]:
    """Return the names of the shipped studies and the question that each answers.

    Examples
    --------
    >>> import regress
    >>> list(regress.studies())[0]
    'default'
    """
    return {name: question(text) for name, text in shipped().items()}


def open_result(run: str = "latest") -> StudyResult:
    """Return the result of an execution that was recorded in MLflow.

    Parameters
    ----------
    run
        The execution's run id, or `latest` for the newest that finished.

    Raises
    ------
    InputError
        There is no such execution, or its files cannot be read.

    Examples
    --------
    >>> import regress
    >>> study = regress.Study(problem="linear(rows=60, val=30)", epochs=2, replicates=3)
    >>> result = regress.run(study, track=True)  # in mlflow.db
    >>> regress.open_result("latest").trials.equals(result.trials)
    True
    """
    from regress.tracking.find import find_execution
    from regress.tracking.read_result import read_result
    from regress.tracking.store import open_store

    store = open_store()
    return read_result(store, find_execution(store, run))
