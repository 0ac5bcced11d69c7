"""Stores that cannot be used are refused in one sentence, before anything is written."""

import logging
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from regress.errors import InputError
from regress.tracking.mlflow_internals import DATABASE_LOGGER
from regress.tracking.store import forget_stores, get_or_create_experiment, open_store
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
    store.client.delete_experiment(get_or_create_experiment(store, "study"))
    with pytest.raises(InputError, match="'study' is deleted"):
        get_or_create_experiment(store, "study")


def test_a_store_is_opened_once_in_a_process(workplace: Path) -> None:
    store = open_store()
    assert open_store() is store
    assert open_store(f"sqlite:///{workplace / 'mlflow.db'}") is store
    forget_stores()
    assert open_store() is not store


def test_a_deleted_database_file_is_noticed(workplace: Path) -> None:
    store = open_store()
    experiment_id = get_or_create_experiment(store, "study")
    for file in workplace.glob("mlflow.db*"):
        file.unlink()
    again = open_store()
    assert again is not store
    assert again.client.get_experiment_by_name("study") is None
    assert get_or_create_experiment(again, "other") == experiment_id


@pytest.mark.parametrize("is_renamed", [True, False])
def test_a_replaced_database_file_is_noticed(
    workplace: Path, migrated_store: Path, is_renamed: bool
) -> None:
    store = open_store()
    get_or_create_experiment(store, "study")
    if is_renamed:
        shutil.copy(migrated_store, workplace / "new.db")
    for file in workplace.glob("mlflow.db*"):
        file.unlink()
    if is_renamed:
        (workplace / "new.db").rename(workplace / "mlflow.db")
    else:
        shutil.copy(migrated_store, workplace / "mlflow.db")
    again = open_store()
    assert again is not store
    assert again.client.get_experiment_by_name("study") is None


def test_a_relative_uri_names_the_file_of_the_working_folder(
    workplace: Path, migrated_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("sqlite:///mlflow.db")
    get_or_create_experiment(store, "study")
    (workplace / "elsewhere").mkdir()
    shutil.copy(migrated_store, workplace / "elsewhere" / "mlflow.db")
    monkeypatch.chdir(workplace / "elsewhere")
    assert open_store("sqlite:///mlflow.db").client.get_experiment_by_name("study") is None


def test_opening_changes_neither_the_environment_nor_log_levels(tmp_path: Path) -> None:
    forget_stores()
    loggers = [logging.getLogger(name) for name in ("mlflow", DATABASE_LOGGER, "alembic")]
    before = dict(os.environ), [logger.level for logger in loggers]
    open_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (dict(os.environ), [logger.level for logger in loggers]) == before


def test_creating_a_database_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert capfd.readouterr() == ("", "")
