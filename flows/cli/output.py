"""What several commands print or write: outcomes, errors, JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.runtime.shown_command import shown_command

if TYPE_CHECKING:
    from regress.tracking.store import Store

_FILE_WIDTH = 140  # of lines that are not printed to a terminal


def new_console() -> Console:
    """Return the console of standard output, with wide lines unless it is a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def print_error(sentence: str) -> None:
    """Print one sentence to standard error."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"regress: {sentence}")


def print_outcome(console: Console, outcome: dict[str, Any], store: "Store") -> None:
    """Print a study's outcome, where to compare its trials and how to show it again."""
    from flows.cli.tables import print_comparison_url, show_outcome
    from regress.tracking.view import way

    show_outcome(console, outcome)
    print_comparison_url(console, store, way(store, outcome["experiment_id"], outcome["study_run_id"]))
    command = f"{shown_command('regress')} show {outcome['study_run_id']}"
    console.print(f"Show this again: [bold]{command}[/bold]", highlight=False, soft_wrap=True)


def write_json(file: Path | None, content: object) -> None:
    """Write the JSON file that the option --json names, if it was given."""
    if file is not None:
        from regress.report.outcome import as_json

        file.write_text(as_json(content) + "\n")
