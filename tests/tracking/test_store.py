"""Stores that cannot be used are refused in one sentence, before anything is written."""

import sqlite3
from pathlib import Path

import pytest

from regress.errors import InputError
from regress.tracking.store import experiment, open_store
from tests.ports import free_port


def refusal(uri: str) -> str:
    with pytest.raises(InputError) as caught:
        open_store(uri)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_fresh_sqlite_store_is_created_in_wal_mode(migrated_store: Path) -> None:
    assert sqlite3.connect(migrated_store).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_server_that_does_not_answer_is_refused() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert f"nothing answers at {address}" in refusal(address)


def test_a_store_of_another_schema_version_is_refused(workplace: Path) -> None:
    with sqlite3.connect(workplace / "mlflow.db") as store:
        store.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert "out-of-date database schema" in refusal(f"sqlite:///{workplace / 'mlflow.db'}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("a letter to the editor, of more than sixteen bytes" * 40)
    assert "not a database" in refusal(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot open" in refusal(f"sqlite:///{tmp_path / 'nowhere' / 'mlflow.db'}")


def test_a_password_is_never_shown() -> None:
    sentence = refusal(f"postgresql://somebody:secret@127.0.0.1:{free_port()}/regress")
    assert "secret" not in sentence


@pytest.mark.parametrize("uri", ["ftp://example.org/x", "databricks", "mlruns", "sqlite://"])
def test_other_addresses_are_refused(uri: str) -> None:
    assert "expected" in refusal(uri)


def test_a_deleted_experiment_is_refused(workplace: Path) -> None:
    store = open_store()
    store.client.delete_experiment(experiment(store, "study"))
    with pytest.raises(InputError, match="'study' is deleted"):
        experiment(store, "study")
