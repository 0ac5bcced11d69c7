"""The champion of a study: its refitted winner as a pyfunc model in MLflow's registry.

All calls use the execution's client: MLflow's `log_model` writes to the active run and the tracking URI of
the process, which executions in one process do not share.
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
from regress.tracking.execution import Execution
from regress.tracking.mlflow_internals import MLFLOW_MODEL_VERSIONS, save_input_example, write_python_env
from regress.tracking.retry import fail_on_disconnect
from regress.tracking.runs import write_files
from regress.tracking.trial_runs import trial_params

ALIAS = "champion"

_PREDICTOR = Path(__file__).with_name("affine_predictor.py")


@dataclass(frozen=True)
class Champion:
    """A version of a registered model that the alias `champion` points to."""

    name: str
    version: str
    uri: str  # by the alias

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@fail_on_disconnect
def log_champion(execution: Execution, name: str, fitted: Refit) -> Champion:
    """Log the model with the execution as its source and register it as the champion of `name`.

    The model's tag `regress.execution` names the execution, whose tag `regress.model` names the version.
    A version that an interrupted attempt registered is used unchanged.

    Raises
    ------
    ServiceLost
        The store cannot be reached, or a disk is full.
    MlflowException
        The registry refuses the model.
    """
    client, run_id = execution.store.client, execution.run_id
    registered = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    version = str(registered[0].version) if registered else _log_version(execution, name, fitted)
    _set_alias(client, name, version)
    client.set_tag(run_id, "regress.model", f"{name}/{version}")
    return Champion(name, version, f"models:/{name}@{ALIAS}")


def _log_version(execution: Execution, name: str, fitted: Refit) -> str:
    """Log the model and register it; return its version."""
    client, run_id = execution.store.client, execution.run_id
    tags = {"regress.execution": run_id, "regress.trial": fitted.trial.digest}
    params = trial_params(fitted.trial)
    model = client.create_logged_model(execution.experiment_id, ALIAS, run_id, tags, params)
    with TemporaryDirectory() as folder:
        _save_model(Path(folder), model, fitted)
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=fitted.trial.epochs)])
    return _register(client, name, model, tags, f"{fitted.trial.label}, refitted on all rows")


def _register(
    client: MlflowClient, name: str, model: LoggedModel, tags: dict[str, str], description: str
) -> str:
    """Register a new version of the model `name`, which may exist; return the version."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # The location of the files, not models:/..., which MLflow would look up in the process's own store.
    created = client.create_model_version(
        name,
        model.artifact_location,
        model.source_run_id,
        tags,
        description=description,
        await_creation_for=0,  # the version is ready at once, and MLflow prints that it waits
        model_id=model.model_id,
    )
    versions = [{"name": name, "version": created.version}]
    client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(versions)})
    return str(created.version)


def _set_alias(client: MlflowClient, name: str, version: str) -> None:
    """Set the alias to `version`."""
    try:
        client.set_registered_model_alias(name, ALIAS, version)
    except MlflowException:
        # Another execution created the alias in between; now it exists and can be moved.
        client.set_registered_model_alias(name, ALIAS, version)


def _save_model(folder: Path, model: LoggedModel, fitted: Refit) -> None:
    """Write the model's files as `mlflow.pyfunc.save_model` does.

    `save_model` also compares all installed packages with the requirements, which takes seconds.
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
    write_files(
        folder,
        {
            "coefficients.json": json.dumps(fields, indent=1).encode(),
            f"code/{_PREDICTOR.name}": _PREDICTOR.read_bytes(),
            "requirements.txt": f"mlflow=={mlflow.__version__}\nnumpy=={np.__version__}\n".encode(),
        },
    )
    write_python_env(folder / "python_env.yaml")
    # Inputs of any type: MLflow refuses integer columns, as in a CSV file, where a double is declared.
    inputs = Schema([ColSpec(AnyType(), name) for name in fitted.features])
    outputs = Schema([ColSpec("double", fitted.target)])
    metadata = Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_uuid=model.model_id,
        model_id=model.model_id,
        signature=ModelSignature(inputs, outputs),
    )
    pyfunc.add_to_model(
        metadata,
        loader_module=_PREDICTOR.stem,
        data="coefficients.json",
        code="code",
        python_env="python_env.yaml",
    )
    save_input_example(metadata, pd.DataFrame(fitted.example, columns=list(fitted.features)), folder)
    metadata.save(folder / "MLmodel")
