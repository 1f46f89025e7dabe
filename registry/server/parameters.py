"""Parameters of management calls: declared as data beside their route, parsed with GitLab's words.

GitLab (Grape) coerces what it can: numbers and booleans may come as text, lists as `name[]` or with commas between.
Parameters that were not declared are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from registry.errors import Invalid
from registry.server import bodies

if TYPE_CHECKING:
    from registry.server.context import Context

Kind = Literal["string", "integer", "boolean", "date", "datetime", "strings", "integers"]

_BIGINT = 2**63 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TRUE = frozenset({"true", "t", "1", "on", "yes", "y"})
_FALSE = frozenset({"false", "f", "0", "off", "no", "n"})
# Postgres stores neither; a lone surrogate cannot be sent back as UTF-8 either.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class BadParameters(Invalid):
    """A parameter is missing or malformed

    GitLab answers these as `{"error": text}`, other refusals as `{"message": text}`.
    """


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route, in the query or the body.

    `values` are all it may be; `least` and `most` bound a number. A `nullable` one may be null, which resets it, and
    in a form empty, unless `empty_is_null` is off. A `required` one must be there; a string among these may not be
    empty.
    """

    name: str
    kind: Kind = "string"
    description: str = ""
    required: bool = False
    values: tuple[str, ...] | tuple[int, ...] = ()
    default: str | int | bool | None = None
    nullable: bool = False
    empty_is_null: bool = True
    least: int | None = None
    most: int | None = None


async def given(context: Context) -> dict[str, Any]:
    """What a request gives of its route's parameters, as `parse` answers it."""
    return parse(context.endpoint.route.parameters, await bodies.values(context.request))


def parse(parameters: tuple[Parameter, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The declared parameters that were given, coerced, and the defaults of the others.

    A `datetime` is aware, `strings` and `integers` are lists. Raises BadParameters, naming everything that is wrong.
    """
    found: dict[str, Any] = {}
    faults: list[str] = []
    for one in parameters:
        try:
            value = _value(one, values.get(one.name, _ABSENT))
        except _FaultyError as fault:
            faults.append(f"{one.name} {fault}")
        else:
            if value is not _ABSENT:
                found[one.name] = value
    if faults:
        raise BadParameters(", ".join(faults))
    return found


def number(text: str, name: str) -> int:
    """An id in a path. Raises BadParameters when it is none; one that is too large is nobody's."""
    if not text.isascii() or not text.isdigit():
        raise BadParameters(f"{name} is invalid")
    return min(int(text[:20]), _BIGINT)


_ABSENT = object()


class _FaultyError(Exception):
    """What is wrong with a value, as GitLab says it after the name."""


def _value(one: Parameter, raw: object) -> object:
    textual = one.kind in {"string", "strings", "integers"}
    if one.nullable and (raw is None or (raw == "" and one.empty_is_null and (one.values or not textual))):
        return None
    if raw == "" and one.required:
        raise _FaultyError("is empty")
    if raw is None or (raw == "" and not textual):
        # An empty form field is no value (Grape).
        raw = _ABSENT
    if raw is _ABSENT:
        if one.required:
            raise _FaultyError("is missing")
        return _ABSENT if one.default is None else one.default
    value = _COERCE[one.kind](raw)
    _check_values(one, value)
    return value


def _check_values(one: Parameter, value: object) -> None:
    if one.values and any(each not in one.values for each in (value if isinstance(value, list) else [value])):
        raise _FaultyError("does not have a valid value")
    if isinstance(value, int) and not isinstance(value, bool):
        if one.least is not None and value < one.least:
            raise _FaultyError("does not have a valid value")
        if one.most is not None and value > one.most:
            raise _FaultyError("does not have a valid value")


def _string(raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | float):
        return str(raw)
    if not isinstance(raw, str) or _UNSTORABLE.search(raw):
        raise _FaultyError("is invalid")
    return raw


def _integer(raw: object) -> int:
    if isinstance(raw, str) and _INTEGER.fullmatch(raw.strip()):
        raw = int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool) or abs(raw) > _BIGINT:
        raise _FaultyError("is invalid")
    return raw


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower() if isinstance(raw, str | int) else ""
    if text not in _TRUE | _FALSE:
        raise _FaultyError("is invalid")
    return text in _TRUE


def _date(raw: object) -> date:
    text = raw.strip() if isinstance(raw, str) else ""
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise _FaultyError("is invalid") from None
    return _datetime(raw).date()


def _datetime(raw: object) -> datetime:
    try:
        # A blank stands for the plus sign that an unquoted query loses.
        found = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", raw.strip())) if isinstance(raw, str) else None
        if found is None:
            raise _FaultyError("is invalid")
        aware = found if found.tzinfo is not None else datetime.combine(found.date(), found.time(), UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _FaultyError("is invalid") from None


def _items(raw: object) -> list[object]:
    if isinstance(raw, list):
        return raw
    if isinstance(raw, str):
        return [item.strip() for item in raw.split(",") if item.strip()]
    if isinstance(raw, int) and not isinstance(raw, bool):
        return [raw]
    raise _FaultyError("is invalid")


_COERCE: Mapping[Kind, Callable[[object], object]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "strings": lambda raw: [_string(item) for item in _items(raw)],
    "integers": lambda raw: [_integer(item) for item in _items(raw)],
}
