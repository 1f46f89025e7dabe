from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import Invalid
from registry.formats.npm import strictjson

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter("__proto__".__ne__), inner, max_size=3),
    max_leaves=10,
)


@given(value=values, ascii_only=st.booleans())
def test_valid_json_is_read_as_everybody_reads_it(*, value: object, ascii_only: bool) -> None:
    assert value == strictjson.loads(json.dumps(value, ensure_ascii=ascii_only).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b"[01]",
        b"nul",
        b'"\xff"',
        b'"\xed\xa0\x80"',  # a surrogate in UTF-8
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"a\0b"',
        b'"a\nb"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"[" * 5000 + b"]" * 5000,
        b"1e999",
        b"9" * 5000,
    ],
)
def test_malformed_json_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid, match="Invalid json"):
        strictjson.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a":1,"b":{"c":1,"c":2}}', "Invalid json: the key 'c' occurs twice"),
        (b'{"a":1,"\\u0061":2}', "Invalid json: the key 'a' occurs twice"),
        (b'[{"__proto__":{}}]', "Invalid json: the key '__proto__' is not allowed"),
        (b'{"\\u005f_proto__":1}', "Invalid json: the key '__proto__' is not allowed"),
        (b'"\\u0000"', "Invalid json: a text holds a NUL character"),
        (b'{"a\\\\\\u0000":1}', "Invalid json: a text holds a NUL character"),
        (b"9223372036854775808", "Invalid json: a number is too large"),
        (b"-99999999999999999999", "Invalid json: a number is too large"),
    ],
)
def test_json_that_readers_understand_differently_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        strictjson.loads(text)

    assert message == refusal.value.text


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"[-Infinity]"])
def test_numbers_that_are_none_are_refused(text: bytes) -> None:
    with pytest.raises(Invalid, match="Invalid json"):
        strictjson.loads(text)


def test_a_backslash_before_u0000_is_not_a_nul() -> None:
    assert "\\u0000" == strictjson.loads(b'"\\\\u0000"')
