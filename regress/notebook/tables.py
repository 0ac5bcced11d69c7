"""Table of the notebook's printed numbers and their ensembles, the controls last."""

from collections.abc import Iterable, Iterator, Sequence

from regress.notebook.ensembles import Row
from regress.report.tables import Block, Cell, Table


def ensemble_blocks(rows: Sequence[Row], controls: Sequence[Row]) -> Iterator[Block]:
    """Yield the table, and a sentence on how many printed numbers lie inside their ensembles."""
    cells = [(*_cells(row), _verdict(row)) for row in rows]
    cells += [(*_cells(row), _control_verdict(row)) for row in controls]
    yield Table(
        title="The notebook's numbers in their ensembles",
        columns=(
            "exercise",
            "fit",
            "quantity",
            "notebook",
            "0.05 %",
            "median",
            "99.95 %",
            "not finite",
            "verdict",
        ),
        rows=tuple(cells),
    )
    verdicts = [row.inside for row in rows if row.inside is not None]
    yield f"{sum(verdicts)} of {len(verdicts)} printed numbers inside"


def select_outside(rows: Iterable[Row]) -> list[Row]:
    """Return the printed numbers that lie outside their ensembles."""
    return [row for row in rows if row.inside is False]


def select_undetected(controls: Iterable[Row]) -> list[Row]:
    """Return the controls that do not lie outside, though they must."""
    return [row for row in controls if row.inside is not False]


def _cells(row: Row) -> tuple[Cell, ...]:
    printed = "" if row.notebook is None else f"{row.notebook:.5g}"
    numbers = (f"{value:.4g}" for value in (row.q0005, row.median, row.q9995))
    nonfinite = f"{row.nonfinite_fraction:.1%}" if row.nonfinite_fraction else ""
    return tuple(map(Cell, (row.exercise, row.fit, row.quantity, printed, *numbers, nonfinite)))


def _verdict(row: Row) -> Cell:
    if row.inside is None:
        return Cell("")
    return Cell("inside") if row.inside else Cell("OUTSIDE", is_failure=True)


def _control_verdict(row: Row) -> Cell:
    if row.inside is False:
        return Cell("control: outside, as expected")
    return Cell("control: INSIDE, expected outside", is_failure=True)
