"""Which schema a tracking store has, looked up without touching it."""

from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import sqlalchemy

from regress.errors import InputError
from regress.tracking.mlflow_internals import TESTED_SCHEMAS, latest_schema_revision, schema_revision
from regress.tracking.store import check_reachable, shown


def examine_store(uri: str | None = None) -> str:
    """Where the store at `uri` is, by default MLflow's own choice, and on which schema.

    Raises InputError where it cannot be reached, or needs another schema. Creates and migrates nothing.
    """
    uri = uri or mlflow.get_tracking_uri()
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite" and not Path(sqlalchemy.make_url(uri).database or "").exists():
        return f"{uri}, which the first study creates"
    check_reachable(uri)
    if scheme in ("http", "https"):
        return f"{shown(uri)}, an MLflow server"
    revision, latest = schema_revision(sqlalchemy.create_engine(uri)), latest_schema_revision()
    if revision is None:
        return f"{shown(uri)}, empty"
    if revision != latest:
        raise InputError(
            f"{shown(uri)} has schema {revision}, MLflow expects {latest}: mlflow db upgrade {shown(uri)}"
        )
    way = "runs go in as rows" if revision in TESTED_SCHEMAS else "runs go in one by one"
    return f"{shown(uri)}, schema {revision}, {way}"
