"""Table files as data frames: delimited text with columns of texts, other formats with typed columns."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pandas as pd

from regress.errors import InputError
from regress.tables.dialect import Dialect, decode, detect_dialect, parse_rows

_TEXT = {".csv", ".tsv", ".txt", ".tab", ".dat"}
_READERS: dict[str, Callable[[BytesIO], pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".feather": pd.read_feather,
    ".arrow": pd.read_feather,
    ".jsonl": lambda content: pd.read_json(content, lines=True, dtype=False, convert_dates=False),
    ".ndjson": lambda content: pd.read_json(content, lines=True, dtype=False, convert_dates=False),
    ".xlsx": lambda content: pd.read_excel(content, dtype=object),
}
FORMATS = (*sorted(_TEXT), *_READERS)


@dataclass(frozen=True)
class Source:
    """A table as it was read: its frame, the digest of the file's content, the dialect of a text file."""

    frame: pd.DataFrame
    name: str
    digest: str
    dialect: Dialect | None = None


def read_source(path: Path) -> Source:
    """Read a table file once.

    Raises
    ------
    InputError
        There is no such file, it is a folder or a device, its format is unknown, it is empty, or it cannot
        be parsed.
    """
    content = _read_bytes(path)
    digest = sha256(content).hexdigest()
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        content, suffixes = _decompress(content, path), suffixes[:-1]
    suffix = suffixes[-1] if suffixes else ""
    if not content.strip():
        raise InputError(f"{path} is empty, expected a table")
    if suffix in _TEXT:
        frame, dialect = _read_text(content, str(path))
        return Source(frame, str(path), digest, dialect)
    if suffix not in _READERS:
        raise InputError(
            f"{path} ends in {suffix!r}, expected one of {', '.join(FORMATS)}, each also with .gz"
        )
    try:
        frame = _READERS[suffix](BytesIO(content))
    except ImportError:
        raise InputError(f"{path} needs openpyxl, install regress[xlsx]") from None
    except Exception as error:  # each reader has its own errors
        raise InputError(f"{path} cannot be read: {_first_line(error)}") from None
    return Source(_with_named_index(frame), str(path), digest)


def read_frame(frame: pd.DataFrame) -> Source:
    """Return a data frame as a source; the digest is of its values."""
    named = _with_named_index(frame)
    hashes = pd.util.hash_pandas_object(named.astype(str), index=False).to_numpy()
    names = "\n".join(map(str, named.columns))
    return Source(named, "the data frame", sha256(names.encode() + hashes.tobytes()).hexdigest())


def _read_bytes(path: Path) -> bytes:
    try:
        kind = (
            "file" if path.is_file() else "folder" if path.is_dir() else "device" if path.exists() else None
        )
        if kind == "file":
            return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {path}: {reason}") from None
    if kind is None:
        raise InputError(f"there is no file {path}")
    raise InputError(f"{path} is a {kind}, expected a table file")


def _decompress(content: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise InputError(f"{path} is no gzip file: {error}") from None


def _read_text(content: bytes, source: str) -> tuple[pd.DataFrame, Dialect]:
    text, encoding = decode(content, source)
    dialect = detect_dialect(text, encoding)
    header, *rows = parse_rows(text, dialect)
    if not rows:
        raise InputError(f"{source} has a header and no rows")
    for number, row in enumerate(rows, 1):
        if len(row) > len(header) and any(field.strip() for field in row[len(header) :]):
            raise InputError(
                f"{source} has {len(row)} fields in row {number}, expected {len(header)} as in the header"
            )
    width = len(header)
    padded = [[*row[:width], *[""] * (width - len(row))] for row in rows]
    return pd.DataFrame(padded, columns=[name.strip() for name in header], dtype=object), dialect


def _with_named_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with an index that has a name as a column, and the levels of column names joined."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    if isinstance(frame.columns, pd.MultiIndex):
        joined = [" ".join(str(part) for part in parts if str(part)) for parts in frame.columns]
        frame = frame.set_axis(joined, axis=1)
    return frame.set_axis([str(name).strip() for name in frame.columns], axis=1)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
