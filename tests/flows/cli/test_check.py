"""The command `check`: what a table would be used for, and all that is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli.main import execute


@pytest.fixture
def price_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table as offices write them: semicolons, Windows-1252, percent and thousands marks, empty cells."""
    rng = np.random.default_rng(0)
    lines = ["date;city; id;area;share;price;new"]
    for i in range(120):
        area = "" if i % 40 == 7 else f"{rng.uniform(20, 200):.1f}"
        city, new = ("Köln", "Bonn", "Ulm")[i % 3], "yes" if i % 2 else "no"
        price = f'"{rng.normal(200_000, 30_000):,.0f}"'
        lines.append(
            f"2024-{i % 12 + 1:02d}-03;{city};{i + 1};{area};{rng.uniform(0, 9):.2f}%;{price};{new}"
        )
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(lines), encoding="cp1252")
    return path


def test_each_column_is_shown_with_its_use_and_reason(
    price_list: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check", price_list.name, "--target", "price", "--missing", "drop", "--json", "plan.json"]
    assert execute(arguments) == 0
    shown = capsys.readouterr().out
    for text in ("left out", "Köln", "in per cent", "yes is 1, no is 0", "all its values are distinct"):
        assert text in shown
    assert "Rows: 120 read, 117 used" in shown
    plan = json.loads(Path("plan.json").read_text())
    assert plan["rows"] == {"read": 120, "used": 117}
    assert plan["columns"][0] == {
        "name": "date",
        "used_as": "left out",
        "reason": "is a date; ask for dates to use its days",
    }
    assert plan["features"] == ["city=Köln", "city=Ulm", "area", "share", "new"]
    assert sorted(file.name for file in Path().iterdir()) == ["plan.json", "prices.csv"]


def test_problems_end_the_command_with_2(price_list: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["check", price_list.name, "--target", "price"]) == 2
    captured = capsys.readouterr()
    assert "Rows: 120 read" in captured.out
    assert "3 in 'area'; use --missing drop, which leaves out 3 of 120 rows" in captured.err
    assert captured.err.count("\n") == 1
    assert execute(["check", price_list.name, "--target", "prise"]) == 2
    assert "did you mean price?" in capsys.readouterr().err
    assert execute(["check", "none.csv", "--target", "price"]) == 2
    assert capsys.readouterr().err == "regress: there is no file none.csv\n"


def test_the_user_chooses_columns(price_list: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--feature", "area", "--feature", "date", "--missing", "median"]
    assert execute(["check", price_list.name, "--target", "price", *options]) == 0
    assert "Features (3): date, area, area is missing" in capsys.readouterr().out
