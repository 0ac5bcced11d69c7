"""Values as one line of text: printed, parsed, and never evaluated as code."""

import keyword
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.contaminations import CONTAMINATIONS, Vertical
from regress.errors import InputError
from regress.losses import L1, LOSSES, Huber, SmoothL1
from regress.orders import ORDERS, EasyToHard, Signed
from regress.problems import PROBLEMS, Linear, Table
from regress.values.text import parse, schema_pattern
from tests.helpers import TABLES, VALUES, refusal, values


def parsed(line: object, kind: str) -> Any:
    return parse(line, kind, TABLES[kind])


def test_all_classes_of_all_registries_are_tested_here() -> None:
    assert {cls for table in TABLES.values() for cls in table.values()} == set(VALUES)


@pytest.mark.parametrize("kind", TABLES)
@given(data=st.data())
def test_print_and_parse_are_inverse(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    reparsed = parsed(str(value), kind)
    assert type(reparsed) is type(value)
    assert reparsed == value
    assert str(reparsed) == str(value)


def test_a_column_may_be_named_like_a_python_keyword() -> None:
    for word in [*keyword.kwlist, *keyword.softkwlist]:
        table = Table(path="my.csv", target=word)
        assert parsed(str(table), "problem") == table


@pytest.mark.parametrize("kind", TABLES)
@given(data=st.data())
def test_a_value_is_returned_unchanged(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    assert parsed(value, kind) is value


@pytest.mark.parametrize(
    ("value", "line"),
    # The lines that docs/studies.md shows, and the notebook's own settings.
    [
        (L1(), "l1"),
        (Huber(), "huber(delta=1.0)"),
        (Huber(2), "huber(delta=2.0)"),
        (SmoothL1(1e-7), "smooth-l1(beta=1e-07)"),
        (Vertical(0.1, 10), "vertical(fraction=0.1, shift=10.0)"),
        (EasyToHard(), "easy-to-hard"),
        (Signed("oracle"), "signed(surrogate=oracle)"),
        (Linear(), "linear(w=[2.0, -3.4], b=4.2, noise=0.01, rows=1000, val=1000)"),
        (Linear((2, -3)), "linear(w=[2.0, -3.0], b=4.2, noise=0.01, rows=1000, val=1000)"),
        (Table(dataset="stackloss"), "table(dataset=stackloss, holdout=0.2)"),
        (Table(path="my.csv", target="y"), 'table(path="my.csv", target=y, holdout=0.2)'),
        (Table(path="a, b", target="it's"), 'table(path="a, b", target="it\'s", holdout=0.2)'),
    ],
)
def test_a_value_prints_as_documented(value: object, line: str) -> None:
    assert str(value) == line


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("huber", Huber()),
        ("huber()", Huber()),
        ("  huber ( delta = 2 )\n", Huber(2.0)),
        ("huber(delta=2,)", Huber(2.0)),
        ("vertical(shift=10, fraction=.1)", Vertical(0.1, 10.0)),
        ("linear(w=[2, -3.4], b=4.2, noise=0.01)", Linear()),
        ("linear(\n  w=[2, -3.4],\n  b=4.2\n)", Linear()),
        ("table(path='my.csv', target=y)", Table(path="my.csv", target="y")),
    ],
)
def test_whitespace_quotes_and_order_of_arguments_are_free(line: str, value: object) -> None:
    kind = next(kind for kind, table in TABLES.items() if isinstance(value, tuple(table.values())))
    assert parsed(line, kind) == value


@pytest.mark.parametrize(
    ("line", "kind", "hint"),
    [
        ("hubber", "losses", "did you mean huber?"),
        ("xyz", "problem", "expected one of linear, ohm, planck, table"),
        ("easy-to-heart", "orders", "did you mean easy-to-hard?"),
        ("verticle(fraction=.1, shift=1)", "contaminations", "did you mean vertical?"),
        ("huber(dleta=1)", "losses", "did you mean delta?"),
        ("vertical(fraction=.1, sift=1)", "contaminations", "did you mean shift?"),
        ("smooth-l1(xyz=1)", "losses", "expected one of beta"),
        ("l2(delta=1)", "losses", "it takes none"),
    ],
)
def test_an_unknown_name_gets_a_hint(line: str, kind: str, hint: str) -> None:
    message = refusal(parsed, line, kind)
    assert message.startswith(f"{kind}: ")
    assert message.endswith(hint)


def test_the_error_names_a_missing_argument() -> None:
    assert refusal(parsed, "vertical(shift=1)", "contaminations") == (
        "contaminations: vertical needs the argument 'fraction'"
    )


@pytest.mark.parametrize(
    ("line", "kind", "argument"),
    [
        ("huber(delta=0)", "losses", "huber(delta)"),
        ("huber(delta=-1)", "losses", "huber(delta)"),
        ("huber(delta=nan)", "losses", "huber(delta)"),
        ("huber(delta=1e999)", "losses", "huber(delta)"),
        ("huber(delta='1')", "losses", "huber(delta)"),
        ("huber(delta=True)", "losses", "huber(delta)"),
        ("huber(delta=None)", "losses", "huber(delta)"),
        ("huber(delta=1j)", "losses", "huber(delta)"),
        ("huber(delta=[1])", "losses", "huber(delta)"),
        ("smooth-l1(beta=0)", "losses", "smooth-l1(beta)"),
        ("vertical(fraction=1, shift=1)", "contaminations", "vertical(fraction)"),
        ("vertical(fraction=-.1, shift=1)", "contaminations", "vertical(fraction)"),
        ("vertical(fraction=.1, shift=1e999)", "contaminations", "vertical(shift)"),
        ("single(row=-1)", "contaminations", "single(row)"),
        ("single(row=1.5)", "contaminations", "single(row)"),
        ("single(row=True)", "contaminations", "single(row)"),
        ("signed(surrogate=none)", "orders", "signed(surrogate)"),
        ("linear(w=[])", "problem", "linear(w)"),
        ("linear(w=2)", "problem", "linear(w)"),
        ("linear(w=[[1]])", "problem", "linear(w)"),
        ("linear(w=['1'])", "problem", "linear(w)"),
        ("linear(noise=-1)", "problem", "linear(noise)"),
        ("linear(rows=0)", "problem", "linear(rows)"),
        ("linear(rows=1.0)", "problem", "linear(rows)"),
        ("table", "problem", "either a path or a dataset"),
        ("table(path=a, dataset=engel)", "problem", "either a path or a dataset"),
        ("table(path=a)", "problem", "'target'"),
        ("table(dataset=iris)", "problem", "table(dataset)"),
        ("table(dataset=engel, holdout=0)", "problem", "table(holdout)"),
        ("table(dataset=engel, holdout=1)", "problem", "table(holdout)"),
    ],
)
def test_the_error_names_an_argument_out_of_range(line: str, kind: str, argument: str) -> None:
    message = refusal(parsed, line, kind)
    assert message.startswith(f"{kind}: ")
    assert argument in message


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "(",
        "huber(",
        "huber)",
        "huber(delta=)",
        "huber(=1)",
        "huber(1.0)",
        "huber(delta)",
        "huber(*[1.0])",
        "huber(**{'delta': 1.0})",
        "huber(delta=1.0",
        "huber delta=1.0",
        "huber(delta=1.0))",
        "huber(delta:=1.0)",
        "huber(delta=f'{1}')",
        "huber(delta=1 for delta in x)",
        "huber(delta=\x00)",
        "huber(delta='\ud800')",
        "huber(delta=" + "[" * 10_000 + ")",
        "huber(delta=" + "-" * 10_000 + "1)",
        "l1, l2",
        "L1",
        "-l1",
    ],
)
def test_a_malformed_line_is_refused(line: str) -> None:
    assert refusal(parsed, line, "losses").startswith("losses: ")


@pytest.mark.parametrize(
    "line",
    [
        "huber(delta=1.0)(delta=2.0)",
        "huber(delta=1.0).x(delta=2.0)",
        "huber(delta=1.0) + f(delta=2.0)",
    ],
)
def test_an_expression_beyond_one_call_is_refused(line: str) -> None:
    refusal(parsed, line, "losses")


def test_an_argument_given_twice_is_refused() -> None:
    assert "delta" in refusal(parsed, "huber(delta=1.0, delta=2.0)", "losses")


@pytest.mark.parametrize("line", ["huber(delta={[1]})", "huber(delta={[1]: 2})", "huber(delta={1: 2})"])
def test_sets_and_mappings_are_refused(line: str) -> None:
    refusal(parsed, line, "losses")


@pytest.mark.parametrize("line", [None, 1, 1.0, True, ["l1"], {"l1": 1}, Vertical(0.1, 1.0)])
def test_an_object_other_than_text_is_refused(line: object) -> None:
    refusal(parsed, line, "losses")


@pytest.mark.parametrize(
    "code",
    [
        "__import__('pathlib').Path({file!r}).touch()",
        "open({file!r}, 'w')",
        "[open({file!r}, 'w') for _ in [1]]",
        "(lambda: open({file!r}, 'w'))()",
        "f'{{open({file!r}, \"w\")}}'",
        "1 if open({file!r}, 'w') else 2",
    ],
)
def test_a_line_is_never_evaluated(code: str, tmp_path: Path) -> None:
    file = tmp_path / "evaluated"
    refusal(parsed, f"huber(delta={code.format(file=str(file))})", "losses")
    assert not file.exists()


@pytest.mark.parametrize("kind", TABLES)
@given(data=st.data())
def test_any_text_is_parsed_or_raises_input_error(kind: str, data: st.DataObject) -> None:
    name = st.sampled_from([*TABLES[kind], "x"])
    argument = st.sampled_from(["delta", "w", "fraction", "shift", "target", "path", "x"])
    literal = st.text() | st.text(alphabet="0123456789.eE+-[]{}(),:'\"_ \\#jnax", max_size=12)
    text = data.draw(
        st.text()
        | st.builds("{}({})".format, name, literal)
        | st.builds("{}({}={})".format, name, argument, literal)
    )
    try:
        value = parsed(text, kind)
    except InputError as error:
        assert str(error)
    else:
        assert parsed(str(value), kind) == value


@pytest.mark.parametrize("kind", TABLES)
@given(data=st.data())
def test_the_schema_pattern_matches_printed_values(kind: str, data: st.DataObject) -> None:
    assert re.search(schema_pattern(TABLES[kind]), str(data.draw(values(kind))))


@pytest.mark.parametrize("table", [PROBLEMS, CONTAMINATIONS, LOSSES, ORDERS], ids=TABLES)
def test_the_schema_pattern_matches_the_names_of_its_table_only(table: dict[str, Any]) -> None:
    names = [name for names in TABLES.values() for name in names] + ["", "x", "l", "l22", "smooth"]
    assert {name for name in names if re.search(schema_pattern(table), name)} == set(table)


@pytest.mark.parametrize("kind", TABLES)
def test_the_schema_pattern_is_valid_in_javascript(kind: str) -> None:
    # JSON Schema uses regular expressions of ECMA-262; with its flag u, `\-` outside a class is an error.
    assert r"\-" not in schema_pattern(TABLES[kind])
