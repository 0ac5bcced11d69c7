"""What several commands print or write: outcomes, errors, JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from flows.runtime.shown_command import shown_command

if TYPE_CHECKING:
    from regress.report.outcome import Outcome
    from regress.tracking.store import Store

_FILE_WIDTH = 140  # of lines that are not printed to a terminal


def new_console() -> Console:
    """Return the console of standard output, with wide lines unless it is a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def print_error(sentence: str) -> None:
    """Print one sentence to standard error."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"regress: {sentence}")


def print_result(
    console: Console, outcome: "Outcome", store: "Store", experiment_id: str, run_id: str
) -> None:
    """Print a study's outcome, where to compare its trials and how to show it again."""
    from flows.cli.tables import print_comparison_url, print_outcome
    from regress.tracking.view import comparison_url

    print_outcome(console, outcome)
    print_comparison_url(console, store, comparison_url(store, experiment_id, run_id), run_id)
    command = f"{shown_command('regress')} show {run_id}"
    console.print(f"Show this again: [bold]{command}[/bold]", highlight=False, soft_wrap=True)


def write_json(file: Path | None, content: object) -> None:
    """Write the JSON file that the option --json names, if it was given."""
    if file is not None:
        from regress.report.json import to_json

        file.write_text(to_json(content) + "\n")
