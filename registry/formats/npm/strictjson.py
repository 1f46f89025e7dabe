"""Strict JSON: what clients send, read so that no two readers can understand it differently."""

from __future__ import annotations

import json
import re
from typing import NoReturn

import orjson

from registry.errors import Invalid

_MAX_DIGITS = 19  # of an integer: a signed 64-bit number
# An escaped NUL, not a backslash followed by the letters u0000. PostgreSQL stores no NUL.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")


def loads(text: bytes) -> object:
    """Decode a JSON text (RFC 8259, UTF-8).

    Raises Invalid for malformed text, invalid UTF-8, lone surrogates, NaN and infinity, integers beyond 64 bits, NUL,
    a key that occurs twice in an object, and `__proto__` as a key, which poisons JavaScript objects.
    """
    try:
        orjson.loads(text)
        if _NUL.search(text):
            raise Invalid("Invalid json: a text holds a NUL character")
        return json.loads(text.decode(), object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Invalid("Invalid json") from error


def show(value: object) -> str:
    """A value as an error text may quote it: it comes from a stranger and may be millions of characters long."""
    return repr(value[:200] if isinstance(value, str) else value)[:300]


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in members if keys.count(key) > 1)
        raise Invalid(f"Invalid json: the key {show(twice)} occurs twice")
    if "__proto__" in members:
        raise Invalid("Invalid json: the key '__proto__' is not allowed")
    return members


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= _MAX_DIGITS + 1 else 2**63
    if not -(2**63) <= value < 2**63:
        raise Invalid("Invalid json: a number is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise Invalid(f"Invalid json: {name} is not a number")
