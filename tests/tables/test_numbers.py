"""Numbers as people write them, read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.tables.numbers import is_missing, parse_numbers

NUMBERS = st.integers(-(10**9), 10**9).map(lambda n: n / 100)
MARKS = {".": [",", "", " ", "'", "\u00a0", "\u202f"], ",": [".", "", " ", "'"]}
SIGNS = ["", "€", "$ ", "£"]


def write(number: float, decimal: str, thousands: str, sign: str) -> str:
    text = f"{number:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)
    return sign + text


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.data())
def test_numbers_are_read_back_in_every_way_of_writing(numbers: list[float], data: st.DataObject) -> None:
    decimal = data.draw(st.sampled_from([".", ","]))
    thousands = data.draw(st.sampled_from(MARKS[decimal]))
    sign = data.draw(st.sampled_from(SIGNS))
    parsed = parse_numbers([write(n, decimal, thousands, sign) for n in numbers], prefer=decimal)
    assert parsed is not None
    np.testing.assert_allclose(parsed.values, numbers, rtol=1e-12)
    assert parsed.decimal == decimal


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_floats_are_read_back_exactly(numbers: list[float]) -> None:
    parsed = parse_numbers([repr(number) for number in numbers])
    assert parsed is not None
    assert (parsed.values == np.array(numbers)).all()


@given(st.lists(st.integers(10**18, 10**18 + 10**6), min_size=2, max_size=5))
def test_stamps_in_nanoseconds_keep_their_differences(stamps: list[int]) -> None:
    parsed = parse_numbers(list(map(str, stamps)))
    assert parsed is not None
    assert [parsed.offset + int(value) for value in parsed.values] == stamps


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,322", "17", "2,000,000"], [1322, 17, 2_000_000]),
        (["1.234,5", "2"], [1234.5, 2]),
        (["5.53%", "1 %"], [5.53, 1]),
        (["(3)", "−7", "+2"], [-3, -7, 2]),
        (["12 USD", "CHF 3"], [12, 3]),
        (["1e3", "-.5", "2."], [1000, -0.5, 2]),
        (["１２", "3"], [12, 3]),
    ],
)
def test_known_ways_of_writing(texts: list[str], values: list[float]) -> None:
    parsed = parse_numbers(texts)
    assert parsed is not None
    assert parsed.values.tolist() == values


@pytest.mark.parametrize(
    "texts", [["abc"], ["1,32,2"], ["12-3"], ["1.2.3"], ["5%", "3"], ["nan", ""], ["0x1f"], ["1_000"]]
)
def test_what_is_no_column_of_numbers(texts: list[str]) -> None:
    assert parse_numbers(texts) is None


def test_a_mark_that_may_be_either_is_told() -> None:
    parsed = parse_numbers(["1,322", "5,100"])
    assert parsed is not None
    assert parsed.is_ambiguous
    assert parsed.values.tolist() == [1322, 5100]
    other = parse_numbers(["1,322", "5,100"], prefer=",")
    assert other is not None
    assert other.values.tolist() == [1.322, 5.1]


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "null", "-", "None"])
def test_missing_values_have_many_names(text: str) -> None:
    assert is_missing(text)
    parsed = parse_numbers(["1", text])
    assert parsed is not None
    assert np.isnan(parsed.values[1])
