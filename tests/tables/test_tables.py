"""Tables in every dialect and format, and what is used of them."""

import csv
import gzip
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regress.errors import InputError
from regress.tables.columns import ColumnChoice, choose_columns
from regress.tables.encode import encode
from regress.tables.parse import parse_frame
from regress.tables.plan import TablePlan, plan_table
from regress.tables.source import read_frame, read_source

TEXTS = st.text(st.characters(codec="cp1252", exclude_characters="\0\r"), max_size=6).filter(
    lambda text: text == text.strip() and not text.lower().startswith("sep=")
)
NAMES = ("first", "second", "a third", "größe")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=6), data=st.data())
def test_fields_are_read_back_in_every_dialect(
    tmp_path: Path, rows: list[tuple[str, ...]], data: st.DataObject
) -> None:
    delimiter = data.draw(st.sampled_from([",", ";", "\t", "|"]))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]))
    has_sep, is_zipped = data.draw(st.booleans()), data.draw(st.booleans())
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([NAMES, *rows])
    content = ((f"sep={delimiter}\r\n" if has_sep else "") + text.getvalue()).encode(encoding)
    path = tmp_path / ("table.CSV.gz" if is_zipped else "table.csv")
    path.write_bytes(gzip.compress(content) if is_zipped else content)
    kept = [list(row) for row in rows if any(row)]
    if not kept:
        with pytest.raises(InputError, match="has a header and no rows"):
            read_source(path)
        return
    source = read_source(path)
    assert list(source.frame.columns) == list(NAMES)
    assert [[field.strip() for field in row] for row in source.frame.to_numpy().tolist()] == kept
    assert source.dialect is not None
    assert source.dialect.delimiter == delimiter


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 60
    city = np.array(["Ulm", "Bonn", "Köln"])[rng.choice(3, n, p=[0.2, 0.3, 0.5])]
    return pd.DataFrame(
        {
            "id": range(1, n + 1),
            "when": pd.date_range("2024-01-01", periods=n, freq="D"),
            "city": city,
            "area": rng.uniform(20, 200, n).round(1),
            "share": [Decimal(f"{x:.2f}") for x in rng.uniform(0, 9, n)],
            "rooms": pd.array([None, *rng.integers(1, 6, n - 1)], dtype="Int64"),
            "is_new": rng.random(n) < 0.5,
            "price": rng.normal(300, 50, n).round(2),
        }
    )


def written(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".feather":
        table.to_feather(path)
    elif path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    else:
        table.astype({"share": str, "when": str}).to_json(path, orient="records", lines=True)
    return path


def features(path: Path) -> tuple[TablePlan, np.ndarray]:
    source = read_source(path)
    plan = plan_table(source, ColumnChoice("price", uses_dates=True), "median")
    return plan, encode(plan.encodings, parse_frame(source.frame))


@pytest.mark.parametrize("name", ["table.parquet", "table.feather", "table.jsonl", "table.xlsx"])
def test_a_table_is_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    expected, x = features(written(frame(), tmp_path / "table.csv"))
    plan, same_x = features(written(frame(), tmp_path / name))
    assert [(use.name, use.used_as) for use in plan.columns] == [
        (use.name, use.used_as) for use in expected.columns
    ]
    assert plan.features == expected.features
    np.testing.assert_array_equal(same_x, x)


def test_columns_are_used_as_what_they_hold(tmp_path: Path) -> None:
    plan, x = features(written(frame(), tmp_path / "table.csv"))
    assert {use.name: use.used_as for use in plan.columns} == {
        "id": "left out",
        "when": "date",
        "city": "category",
        "area": "number",
        "share": "number",
        "rooms": "number",
        "is_new": "boolean",
        "price": "target",
    }
    assert plan.features == (
        "when",
        "city=Bonn",
        "city=Ulm",
        "area",
        "share",
        "rooms",
        "rooms is missing",
        "is_new",
    )
    assert x.shape == (60, 8)
    assert x[:, 0].tolist() == list(range(60))
    table = frame()
    np.testing.assert_array_equal(x[:, 1], table["city"] == "Bonn")
    np.testing.assert_array_equal(x[:, 6], table["rooms"].isna())
    assert x[0, 5] == table["rooms"].dropna().median()
    np.testing.assert_array_equal(x[:, 7], table["is_new"])


def test_a_data_frame_is_a_source_and_its_digest_follows_its_values() -> None:
    table = frame()
    assert read_frame(table).digest == read_frame(table.copy()).digest
    table.loc[0, "area"] += 1
    assert read_frame(table).digest != read_frame(frame()).digest
    indexed = frame().set_index("id")
    assert list(read_frame(indexed).frame.columns) == list(frame().columns)


def test_a_decimal_mark_that_one_column_shows_holds_for_the_others() -> None:
    table = pd.DataFrame({"a": ["1,5", "2"], "b": ["1.322", "5.100"], "c": ["3,125", "4"]})
    a, b, c = parse_frame(table)
    assert a.values.tolist() == [1.5, 2]
    assert b.values.tolist() == [1322, 5100]
    assert c.values.tolist() == [3.125, 4]


def test_the_user_s_choice_wins() -> None:
    columns = parse_frame(frame())
    choice = ColumnChoice("price", features=("id", "rooms"), categories=("rooms",))
    uses = {use.name: use for use in choose_columns(columns, choice)}
    assert uses["id"].used_as == "number"
    assert uses["rooms"].used_as == "category"
    assert uses["area"].reason == "not among the features"
    dropped = choose_columns(columns, ColumnChoice("price", drop=("area",)))
    assert {use.name: use.reason for use in dropped}["area"] == "dropped as asked"


def test_rare_levels_are_one_category() -> None:
    city = ["a"] * 300 + ["b"] * 100 + ["c", "d"]
    table = pd.DataFrame({"city": city, "y": np.arange(402.0) % 7})
    plan = plan_table(read_frame(table), ColumnChoice("y"))
    assert plan.features == ("city=b", "city=(other)")
    assert plan.encodings[0].merged == ("c", "d")
    x = encode(plan.encodings, parse_frame(table))
    assert x.sum(axis=0).tolist() == [100, 2]


PROBLEMS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a text as target": ({"y": ["a", "b", "c"] * 4}, "y", "target 'y' holds texts, expected numbers"),
    "a constant target": ({"y": [1.0] * 12}, "y", "target 'y' does not vary"),
    "a typing error": (
        {"z": [*map(str, range(11)), "12 apples"]},
        "y",
        "'z' has a value that is no number, '12 apples' in row 12",
    ),
    "missing values": (
        {"z": [1.0, None, 3.0] * 4},
        "y",
        "4 in 'z'; use --missing drop, which leaves out 4 of 12",
    ),
    "no features": ({"x": [1.0] * 12}, "y", "no column is left to predict the target from"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_problem_is_named_with_its_column(case: str) -> None:
    columns, target, clause = PROBLEMS[case]
    table = pd.DataFrame({"x": np.sqrt(np.arange(12.0)), "y": np.arange(12.0) % 5} | columns)
    plan = plan_table(read_frame(table), ColumnChoice(target))
    assert any(clause in problem for problem in plan.problems), plan.problems
    with pytest.raises(InputError, match="the data frame: "):
        plan.check()


def test_all_problems_are_listed_at_once() -> None:
    table = pd.DataFrame(
        {"x": [*map(str, range(9)), "x", "y", "z"], "y": ["a", "b"] * 6, "w": [1.5, None, 2.5] * 4}
    )
    table["x"] = [*map(str, range(11)), "oops"]
    plan = plan_table(read_frame(table), ColumnChoice("y"))
    assert len(plan.problems) == 3


BAD_FILES: dict[str, tuple[str, bytes | None, str]] = {
    "no file": ("none.csv", None, "there is no file"),
    "an empty file": ("empty.csv", b" \n", "is empty, expected a table"),
    "a header alone": ("header.csv", b"x,y\n", "has a header and no rows"),
    "a binary file": ("binary.csv", b"x\0\1\2,y", "is a binary file"),
    "another format": ("table.docx", b"x", "ends in '.docx', expected one of"),
    "a broken Parquet file": ("table.parquet", b"PAR1", "cannot be read"),
    "a file that is not zipped": ("table.csv.gz", b"x,y\n1,2\n", "is no gzip file"),
    "a row too long": (
        "long.csv",
        b"x,y\n1,2\n1,2,3\n",
        "has 3 fields in row 2, expected 2 as in the header",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_sentence(case: str, tmp_path: Path) -> None:
    name, content, sentence = BAD_FILES[case]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_source(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_and_devices_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(InputError, match="expected a table file"):
            read_source(path)


def test_unknown_columns_get_a_hint() -> None:
    columns = parse_frame(frame())
    for choice in (ColumnChoice("prise"), ColumnChoice("price", drop=("aera",))):
        with pytest.raises(InputError, match=r"did you mean (price|area)\?"):
            choose_columns(columns, choice)
