"""Renders tables as Markdown."""

from collections.abc import Iterable

from regress.report.tables import Block, Cell, Table


def render_markdown(blocks: Iterable[Block], most_rows: int | None = None) -> str:
    """Return the blocks as Markdown, at most `most_rows` rows of each table."""
    return "\n".join(line for block in blocks for line in _lines(block, most_rows))


def _lines(block: Block, most_rows: int | None) -> list[str]:
    if isinstance(block, str):
        return [block, ""]
    shown = block.rows[:most_rows]
    lines = [f"{block.title}:", ""] if block.title else []
    lines += [_line(block.columns), _line(_alignment(block))]
    lines += [_line(_text(cell) for cell in row) for row in shown]
    lines.append("")
    if block.note:
        lines += [block.note, ""]
    if len(shown) < len(block.rows):
        lines += [f"and {len(block.rows) - len(shown)} more in `comparison.json`", ""]
    return lines


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"


def _alignment(table: Table) -> list[str]:
    return ["---" if table.is_text(column) else "--:" for column in table.columns]


def _text(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.is_failure else cell.text
