"""Examination of a tracking store that neither creates nor migrates anything."""

from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import sqlalchemy

from regress.errors import InputError
from regress.tracking.mlflow_internals import TESTED_SCHEMAS, latest_schema_revision, schema_revision
from regress.tracking.store import check_reachable, hide_password


def examine_store(uri: str | None = None) -> str:
    """Return one line on where the store at `uri`, by default MLflow's own choice, is and its schema.

    Raises
    ------
    InputError
        The store cannot be reached, or has another schema than the installed MLflow needs.
    """
    uri = uri or mlflow.get_tracking_uri()
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite" and not Path(sqlalchemy.make_url(uri).database or "").exists():
        return f"{uri}, which the first study creates"
    check_reachable(uri)
    address = hide_password(uri)
    if scheme in ("http", "https"):
        return f"{address}, an MLflow server"
    revision, latest = schema_revision(sqlalchemy.create_engine(uri)), latest_schema_revision()
    if revision is None:
        return f"{address}, empty"
    if revision != latest:
        raise InputError(
            f"{address} has schema {revision}, MLflow expects {latest}: mlflow db upgrade {address}"
        )
    method = "as rows" if revision in TESTED_SCHEMAS else "one by one"
    return f"{address}, schema {revision}, runs are written {method}"
