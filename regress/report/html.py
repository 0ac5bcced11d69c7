"""Renders tables as HTML for Jupyter."""

from collections.abc import Iterable
from html import escape

from regress.report.tables import Block, Table


def render_html(blocks: Iterable[Block]) -> str:
    """Return the blocks as HTML, with all texts escaped."""
    return "".join(_table(block) if isinstance(block, Table) else _paragraph(block) for block in blocks)


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(table: Table) -> str:
    align = ["left" if table.is_text(column) else "right" for column in table.columns]
    head = _row("th", table.columns, align)
    body = "".join(_row("td", [cell.text for cell in row], align) for row in table.rows)
    note = f"<p><small>{escape(table.note)}</small></p>" if table.note else ""
    caption = f"<p><strong>{escape(table.title)}</strong></p>"
    return f"{caption}<table><thead>{head}</thead><tbody>{body}</tbody></table>{note}"


def _row(tag: str, texts: Iterable[str], align: Iterable[str]) -> str:
    cells = zip(texts, align, strict=True)
    style = "padding: 0.2em 0.8em; text-align:"
    content = "".join(f'<{tag} style="{style} {side}">{escape(text)}</{tag}>' for text, side in cells)
    return f"<tr>{content}</tr>"
