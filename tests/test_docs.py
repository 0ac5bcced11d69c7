"""The documentation: its examples run, its table of metrics is the code's, its links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

from regress.metrics.table import METRICS, Metric

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_EXAMPLES = [page for page in PAGES if ">>> " in page.read_text()]
RECORDED = {"history": "by epoch and final", "final": "final", "trial": "once a trial"}


def row(metric: Metric) -> str:
    better = "less" if metric.less_is_better else "more"
    ranks = "yes" if metric.ranks else ""
    cells = (
        f"`{metric.name}`",
        metric.label.replace("|", "\\|"),
        RECORDED[metric.kind],
        metric.unit,
        better,
    )
    return f"| {' | '.join(cells)} | {ranks} |"


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = [re.sub(r"\s+", " ", line).strip() for line in page.splitlines() if line.startswith("| `")]
    assert rows == [re.sub(r"\s+", " ", row(metric)) for metric in METRICS.values()]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_examples_run(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parsed = doctest.DocTestParser().get_doctest(page.read_text(), {}, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(parsed)
    assert runner.failures == 0, capsys.readouterr().out
    assert workplace.is_dir()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_examples_are_found() -> None:
    assert {"README.md", "python.md"} <= {page.name for page in WITH_EXAMPLES}
