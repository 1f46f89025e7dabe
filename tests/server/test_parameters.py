"""Parameters of management calls."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.server.parameters import BadParameters, Kind, Parameter, number, parse

KINDS: tuple[Kind, ...] = ("string", "integer", "boolean", "date", "datetime", "strings", "integers")


def one(kind: Kind, value: object, **options: Any) -> object:
    return parse((Parameter("x", kind, **options),), {"x": value}).get("x", "absent")


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("string", "text", "text"),
        ("string", 5, "5"),
        ("string", True, "true"),
        ("string", "", ""),
        ("integer", "42", 42),
        ("integer", "-1", -1),
        ("integer", 42, 42),
        ("integer", "", "absent"),
        ("integer", None, "absent"),
        ("boolean", "TRUE", True),
        ("boolean", "1", True),
        ("boolean", 0, False),
        ("boolean", "off", False),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", "2024-02-29T23:30:00-01:00", date(2024, 3, 1)),
        ("datetime", "2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("datetime", "2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("datetime", "2024-02-29T12:00:00 02:00", datetime(2024, 2, 29, 10, tzinfo=UTC)),
        ("strings", "a, b,", ["a", "b"]),
        ("strings", ["a,b", 1], ["a,b", "1"]),
        ("integers", "1,2", [1, 2]),
        ("integers", 7, [7]),
        ("integers", ["3"], [3]),
    ],
)
def test_values_are_coerced_as_grape_does(kind: Kind, raw: object, value: object) -> None:
    assert value == one(kind, raw)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("string", "a\0b"),
        ("string", "\ud800"),
        ("string", ["a"]),
        ("string", {"a": 1}),
        ("integer", "1.0"),
        ("integer", 1.5),
        ("integer", True),
        ("integer", "٤"),
        ("integer", 2**63),
        ("integer", "9" * 5000),
        ("boolean", "perhaps"),
        ("boolean", []),
        ("date", "2023-02-29"),
        ("date", "29.02.2024"),
        ("date", 20240229),
        ("datetime", "9999-12-31T23:59:59-23:00"),
        ("datetime", "noon"),
        ("strings", {"a": 1}),
        ("strings", [["a"]]),
        ("integers", "1,x"),
    ],
)
def test_values_of_another_kind_are_invalid(kind: Kind, raw: object) -> None:
    with pytest.raises(BadParameters, match=r"^x is invalid$"):
        one(kind, raw)


def test_everything_wrong_is_named_at_once() -> None:
    declared = (
        Parameter("a", required=True),
        Parameter("b", required=True),
        Parameter("c", "integer"),
        Parameter("d", values=("x", "y")),
        Parameter("e", "integer", least=1, most=9),
        Parameter("f", "strings", values=("x",)),
    )
    given_ = {"b": "", "c": "z", "d": "", "e": 10, "f": ["x", "y"]}
    with pytest.raises(BadParameters) as caught:
        parse(declared, given_)
    valueless = "does not have a valid value"
    assert f"a is missing, b is empty, c is invalid, d {valueless}, e {valueless}, f {valueless}" == caught.value.text


def test_defaults_fill_in_and_undeclared_values_are_ignored() -> None:
    declared = (Parameter("page", "integer", default=1), Parameter("active", "boolean", default=False))
    assert {"page": 1, "active": False} == parse(declared, {"page": "", "other": object()})


def test_null_resets_what_may_be_null() -> None:
    assert one("boolean", None, nullable=True) is None
    assert one("boolean", "", nullable=True) is None
    assert one("string", "", nullable=True, values=("a",)) is None
    assert "" == one("string", "", nullable=True)
    assert "absent" == one("boolean", None)
    with pytest.raises(BadParameters, match="x is missing"):
        one("string", None, required=True)


def test_an_id_in_a_path_is_digits() -> None:
    assert (42, 2**63 - 1) == (number("42", "id"), number("9" * 4000, "id"))
    for text in ("", "x", "-1", "1.0", "٤"):
        with pytest.raises(BadParameters, match=r"^id is invalid$"):
            number(text, "id")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), raw=JSON, nullable=st.booleans(), required=st.booleans())
def test_whatever_is_sent_is_a_value_or_a_refusal(kind: Kind, raw: object, *, nullable: bool, required: bool) -> None:
    try:
        value = one(kind, raw, nullable=nullable, required=required)
    except BadParameters:
        return
    # What was coerced once is a fixed point.
    if value not in ("absent", None) and kind not in {"date", "datetime"}:
        assert value == one(kind, value, nullable=nullable, required=required) or value in ("", [])
