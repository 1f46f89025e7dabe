"""What a command prints: lines for people, or JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

Row = Mapping[str, Any]
Result = Row | Sequence[Row] | None


def show(result: Result, *, as_json: bool = False) -> None:
    """Print one row as `name: value` lines, several as a table, none as nothing; or all of it as one JSON value."""
    if as_json:
        value = result if result is None or isinstance(result, Mapping) else [dict(row) for row in result]
        json_line(dict(value) if isinstance(value, Mapping) else value)
    elif result is None:
        return
    elif isinstance(result, Mapping):
        for name, value in result.items():
            line(f"{name}: {_text(value)}")
    else:
        _table(result)


def line(text: str) -> None:
    """Print one line at once, so that a reader of a pipe can follow."""
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


def json_line(value: object) -> None:
    """Print a value as one line of JSON."""
    line(orjson.dumps(value, option=orjson.OPT_UTC_Z, default=str).decode())


def _table(rows: Sequence[Row]) -> None:
    if not rows:
        return
    table = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        line("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case list() | tuple():
            text = ",".join(map(str, value)) or "-"
        case Mapping():
            text = orjson.dumps(value).decode()
        case _:
            text = str(value)
    # Names come from users; a terminal obeys control characters.
    return "".join(character if character.isprintable() else "?" for character in text)
