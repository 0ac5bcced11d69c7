"""The outcome of a study as JSON, and its tables in HTML and Markdown."""

import json
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from regress.comparison import BestRow, Diverged, OrderEffect, RelativeEfficiency
from regress.report.html import render_html
from regress.report.json import to_json
from regress.report.markdown import render_markdown
from regress.report.outcome import Outcome, PublishedRow
from regress.report.tables import Cell, Table, outcome_blocks

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
NUMBERS = st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
PUBLISHED = st.builds(PublishedRow, parameters=st.just(("x", "b")), published=NUMBERS, here=NUMBERS)
OUTCOMES = st.builds(
    Outcome,
    diverged=st.lists(st.from_type(Diverged), max_size=2).map(tuple),
    best=st.lists(st.from_type(BestRow), max_size=2).map(tuple),
    orders=st.lists(st.from_type(OrderEffect), max_size=2).map(tuple),
    references=st.lists(st.from_type(RelativeEfficiency), max_size=1).map(tuple),
    published=st.lists(PUBLISHED, max_size=1).map(tuple),
)


@settings(max_examples=30)
@given(OUTCOMES)
def test_an_outcome_is_the_same_after_json(outcome: Outcome) -> None:
    assert Outcome.from_json(json.loads(to_json(outcome.as_json()))) == outcome


@settings(max_examples=20)
@given(st.sampled_from([float("inf"), float("-inf"), float("nan")]))
def test_json_has_null_for_what_is_not_finite(value: float) -> None:
    assert json.loads(to_json({"a": [value, 1.0]})) == {"a": [None, 1.0]}


class Content(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


TAGS = {"p", "strong", "small", "table", "thead", "tbody", "tr", "th", "td"}
TEXTS = st.text(st.sampled_from("<>&\"'/ab|*`\\")) | st.sampled_from(["<script>", "</td>", "&lt;", "<!--"])


@given(st.lists(TEXTS.filter(str.strip), min_size=2, max_size=2), TEXTS, TEXTS)
def test_html_shows_each_text_as_it_is(columns: list[str], text: str, title: str) -> None:
    table = Table(title, tuple(columns), ((Cell(text), Cell(text, is_failure=True)),), note=title)
    content = Content(render_html([table, text]))
    assert content.tags <= TAGS
    shown = "".join(content.texts)
    assert shown == f"{title}{''.join(columns)}{text}{text}{title}{text}"


@given(TEXTS.filter(str.strip))
def test_markdown_keeps_a_table_s_columns(text: str) -> None:
    table = Table("title", ("a", "b"), ((Cell(text), Cell("x")),))
    lines = [line for line in render_markdown([table]).splitlines() if line.startswith("|")]
    separators = {line.replace("\\|", "").count("|") for line in lines}
    assert separators == {3}


@settings(max_examples=20)
@given(OUTCOMES)
def test_every_renderer_takes_every_outcome(outcome: Outcome) -> None:
    blocks = list(outcome_blocks(outcome))
    assert Content(render_html(blocks)).tags <= TAGS
    assert isinstance(render_markdown(blocks), str)
