"""The champion of a study: its refitted winner as a pyfunc model in MLflow's registry.

Everything goes through the execution's own client: MLflow's `log_model` writes to the active run and the
tracking address of the process, which executions side by side do not share.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.exceptions import MlflowException

from regress.pipeline.refit import Refit
from regress.tracking.mlflow_internals import MLFLOW_MODEL_VERSIONS, save_input_example, write_python_env
from regress.tracking.record import Execution, trial_params
from regress.tracking.retry import fail_on_disconnect
from regress.tracking.runs import put

ALIAS = "champion"

_PREDICTOR = Path(__file__).with_name("affine_predictor.py")


@dataclass(frozen=True)
class Champion:
    """A version of a registered model, which its alias points to."""

    name: str
    version: str
    uri: str  # by its alias

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@fail_on_disconnect
def log_champion(execution: Execution, name: str, fitted: Refit) -> Champion:
    """Logs the model with the execution as its source and registers it as the champion of `name`.

    Model and execution name each other: `regress.execution` on the one, `regress.model` on the other. A
    version that an interrupted attempt has left is taken as it is.
    """
    client, run_id = execution.store.client, execution.run_id
    left = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    version = str(left[0].version) if left else _log_version(execution, name, fitted)
    _point_to(client, name, version)
    client.set_tag(run_id, "regress.model", f"{name}/{version}")
    return Champion(name, version, f"models:/{name}@{ALIAS}")


def _log_version(execution: Execution, name: str, fitted: Refit) -> str:
    """Logs the model and registers it; its version."""
    client, run_id = execution.store.client, execution.run_id
    tags = {"regress.execution": run_id, "regress.trial": fitted.trial.digest}
    params = trial_params(fitted.trial)
    model = client.create_logged_model(execution.experiment_id, ALIAS, run_id, tags, params)
    with TemporaryDirectory() as folder:
        _save(Path(folder), model, fitted)
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=fitted.trial.epochs)])
    return _register(client, name, model, tags, f"{fitted.trial.label}, refitted on all rows")


def _register(
    client: MlflowClient, name: str, model: LoggedModel, tags: dict[str, str], description: str
) -> str:
    """A new version of the registered model `name`, which may be there already."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Where the files are, not models:/..., which MLflow would look up in the process's own store.
    created = client.create_model_version(
        name,
        model.artifact_location,
        model.source_run_id,
        tags,
        description=description,
        await_creation_for=0,  # it is there at once, and waiting is announced
        model_id=model.model_id,
    )
    known = [{"name": name, "version": created.version}]
    client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(known)})
    return str(created.version)


def _point_to(client: MlflowClient, name: str, version: str) -> None:
    """Moves the alias."""
    try:
        client.set_registered_model_alias(name, ALIAS, version)
    except MlflowException:  # another execution has set its first alias in between: now it is there to move
        client.set_registered_model_alias(name, ALIAS, version)


def _save(folder: Path, model: LoggedModel, fitted: Refit) -> None:
    """The model's files, as `mlflow.pyfunc.save_model` leaves them.

    That one first searches every installed package for mismatches, which takes seconds.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    fields = {
        "features": fitted.features,
        "target": fitted.target,
        "coefficients": fitted.coefficients,
        "intercept": fitted.intercept,
    }
    put(
        folder,
        {
            "coefficients.json": json.dumps(fields, indent=1).encode(),
            f"code/{_PREDICTOR.name}": _PREDICTOR.read_bytes(),
            "requirements.txt": f"mlflow=={mlflow.__version__}\nnumpy=={np.__version__}\n".encode(),
        },
    )
    write_python_env(folder / "python_env.yaml")
    # Of any type: for a double MLflow would refuse a column of whole numbers, as a CSV file may hold.
    inputs = Schema([ColSpec(AnyType(), name) for name in fitted.features])
    outputs = Schema([ColSpec("double", fitted.target)])
    described = Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
        signature=ModelSignature(inputs, outputs),
    )
    pyfunc.add_to_model(
        described,
        loader_module=_PREDICTOR.stem,
        data="coefficients.json",
        code="code",
        python_env="python_env.yaml",
    )
    save_input_example(described, pd.DataFrame(fitted.example, columns=list(fitted.features)), folder)
    described.save(folder / "MLmodel")
