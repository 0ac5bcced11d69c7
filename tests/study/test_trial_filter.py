"""Trials chosen by conditions and sorted: the language, and what it takes."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.study.trial_filter import Condition, parse_conditions, select, sort_trials
from tests.helpers import TABLES, refusal, values

FIELDS = {"losses": "loss", "orders": "order", "contaminations": "contamination", "problem": "problem"}
CONDITIONS = st.builds(
    Condition,
    name=st.sampled_from(["lr", "coef_Air.Flow", "and", "a name"]) | st.text(),
    op=st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    value=st.sampled_from([".3", "-1e-3", "huber(delta=1.0)", "and", "a and b", '"', "("]) | st.text(),
)
TRIALS: list[dict[str, Any]] = [
    {"loss": "l2", "lr": "0.03", "order": "shuffled", "error": 0.5},
    {"loss": "huber(delta=1.0)", "lr": "0.3", "order": "easy-to-hard", "error": 0.25},
    {"loss": "huber(delta=10.0)", "lr": "3.0", "order": "shuffled", "error": 2.0},
    {"loss": "l1", "lr": "10.0", "order": "shuffled"},  # diverged: no error that is finite
]


def chosen(where: str) -> list[int]:
    return [TRIALS.index(dict(row)) for row in select(TRIALS, parse_conditions(where))]


def sorted_by(name: str) -> list[int]:
    return [TRIALS.index(dict(row)) for row in sort_trials(TRIALS, name)]


@given(st.lists(CONDITIONS, min_size=1, max_size=4))
def test_print_and_parse_are_inverse(conditions: list[Condition]) -> None:
    assert parse_conditions(" and ".join(map(str, conditions))) == tuple(conditions)


@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
def test_every_form_is_found_by_its_own_line(kind: str, data: st.DataObject) -> None:
    own, other = data.draw(values(kind)), data.draw(values(kind))
    rows = [{FIELDS[kind]: str(own)}, {FIELDS[kind]: str(other)}]
    found = select(rows, parse_conditions(f"{FIELDS[kind]}={own}"))
    assert rows[0] in found
    is_bare = str(own) == own.name  # a line without arguments names them all
    assert (rows[1] in found) == (str(other) == str(own) or (is_bare and other.name == own.name))
    assert select(rows, parse_conditions(f"{FIELDS[kind]} = {own.name}"))[0] == rows[0]
    assert set(TABLES[kind]) >= {own.name, other.name}


@given(value=st.floats(allow_nan=False), bound=st.floats(allow_nan=False))
def test_numbers_compare_as_numbers(value: float, bound: float) -> None:
    for op, holds in {"=": value == bound, "<": value < bound, ">=": value >= bound}.items():
        for recorded in (value, str(value)):  # a metric, a param
            assert bool(select([{"x": recorded}], parse_conditions(f"x{op}{bound}"))) == holds


@given(st.lists(st.floats(allow_nan=False) | st.integers(-5, 5).map(str) | st.sampled_from("ab")))
def test_sorting_from_the_largest_is_sorting_turned_round(entries: list[Any]) -> None:
    rows = [{"x": entry} for entry in dict.fromkeys(entries)] or [{"x": 0.0}]
    up, down = sort_trials(rows, "x"), sort_trials(rows, "-x")
    keys = [(isinstance(row["x"], str) and row["x"] in "ab", row["x"]) for row in up]
    numbers = [float(value) for is_text, value in keys if not is_text]
    assert numbers == sorted(numbers)
    assert [is_text for is_text, _ in keys] == sorted(is_text for is_text, _ in keys)
    assert [str(row["x"]) for row in down if str(row["x"]) in "ab"] == [
        str(row["x"]) for row in up[::-1] if str(row["x"]) in "ab"
    ]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("loss=huber", [1, 2]),
        ("loss = huber and lr<1", [1]),
        ('loss="huber(delta=1.0)"', [1]),
        ("loss=huber(delta=1)", [1]),  # as it is recorded: delta=1.0
        ("loss=huber(delta=10.0) and order=shuffled", [2]),
        ("loss!=huber", [0, 3]),
        ("loss!=huber(delta=1)", [0, 2, 3]),
        ("loss=hub", []),
        ("lr=.030", [0]),
        ("lr>=.3 and lr<=3", [1, 2]),
        ("order=easy-to-hard", [1]),
        ("error<1", [0, 1]),
        ("error>1", [2, 3]),  # what diverged is infinitely far off
        ("error=inf", [3]),
    ],
)
def test_known_choices(where: str, expected: list[int]) -> None:
    assert chosen(where) == expected


def test_numbers_sort_as_numbers_and_what_diverged_comes_last() -> None:
    assert sorted_by("lr") == [0, 1, 2, 3]
    assert sorted_by("error") == [1, 0, 2, 3]
    assert sorted_by("-error") == [3, 2, 0, 1]
    assert sorted_by("loss") == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("", "'' is not of the form name op value, op being one of = != < <= > >="),
        ("loss huber", "'loss huber' is not of the form"),
        ("loss==huber", "'loss==huber' is not of the form"),
        ("lr<1 and ", "'' is not of the form"),
        ("lr<1 or lr>2", "expected 'and' before 'or lr>2'"),
        ("lr<1 android=2", "expected 'and' before 'android=2'"),
        ('loss="huber', "is not of the form"),
        (r'loss="\q"', "is not a text in JSON's quotes"),
        ("los=huber", "no trial has a param or metric 'los'; did you mean loss?"),
        ("loss<1", "loss<1 compares texts, expected numbers on both sides of <"),
        ("lr<huber", "lr<huber compares texts, expected numbers on both sides of <"),
        ("loss=huber(delt=1)", "huber has no argument 'delt'; did you mean delta?"),
        ("__import__('os').system('true')=1", "is not of the form"),
    ],
)
def test_what_is_no_condition_gets_one_sentence(where: str, sentence: str) -> None:
    message = refusal(chosen, where)
    assert message.startswith("--where: ")
    assert sentence in message


def test_an_unknown_field_to_sort_by_gets_one_sentence() -> None:
    assert refusal(sorted_by, "-err") == "--sort: no trial has a param or metric 'err'; did you mean error?"


def test_a_metric_that_is_not_there_equals_no_number() -> None:
    (condition,) = parse_conditions("error=3")
    assert not condition.holds(TRIALS[3])
    assert Condition("error", "=", str(math.inf)).holds(TRIALS[3])
