"""Detection of how a delimited text file is written: encoding, delimiter, where the header is."""

import csv
import io
from dataclasses import dataclass

from regress.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 200


@dataclass(frozen=True)
class Dialect:
    """How the rows of a text file are separated into fields; `skipped` lines precede the header."""

    encoding: str
    delimiter: str
    skipped: int = 0


def decode(content: bytes, source: str) -> tuple[str, str]:
    """Return the text of a file and its encoding: UTF-8, UTF-16 or Windows-1252.

    Raises
    ------
    InputError
        The content is binary.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), "utf-16"
    if b"\x00" in content[:4096]:
        raise InputError(f"{source} is a binary file, expected text with columns")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise InputError(f"{source} is neither UTF-8 nor Windows-1252 text")


def detect_dialect(text: str, encoding: str) -> Dialect:
    """Return the dialect of a text, from its `sep=` line or the delimiter with the most regular rows."""
    first = text.partition("\n")[0].rstrip("\r").strip('"')
    if first.lower().startswith("sep=") and len(first) >= 5:
        return Dialect(encoding, first[4], skipped=1)
    return Dialect(encoding, max(DELIMITERS, key=lambda delimiter: _regularity(text, delimiter)))


def parse_rows(text: str, dialect: Dialect) -> list[list[str]]:
    """Return the fields of all rows that are not empty, the header first."""
    lines = io.StringIO(text, newline="")
    for _ in range(dialect.skipped):
        lines.readline()
    reader = csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=True, strict=False)
    return [row for row in reader if any(field.strip() for field in row)]


def _regularity(text: str, delimiter: str) -> tuple[float, int]:
    """Return the share of rows with as many fields as the header, and that number; 0 for one column."""
    rows = []
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True):
        if any(field.strip() for field in row):
            rows.append(len(row))
        if len(rows) == _SAMPLE_ROWS:
            break
    if not rows or rows[0] < 2:
        return 0.0, 0
    return sum(width == rows[0] for width in rows) / len(rows), rows[0]
