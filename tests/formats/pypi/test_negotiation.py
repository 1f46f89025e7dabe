from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.formats.pypi.negotiation import Representation, negotiate

JSON, HTML_V1, HTML = Representation.JSON, Representation.HTML_V1, Representation.HTML

V1_JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        # One type.
        (V1_JSON, JSON),
        (LATEST_JSON, JSON),
        (V1_HTML, HTML_V1),
        (LATEST_HTML, HTML_V1),
        ("text/html", HTML),
        # Anything.
        ("*/*", HTML),
        (None, HTML),
        ("", HTML),
        # The clients in use.
        (f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", JSON),
        (f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", JSON),
        (f"{V1_JSON}, */*;q=0.1", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", HTML),
        # The highest quality wins, a tie goes to the most expressive.
        (f"{V1_JSON};q=0.1, text/html", HTML),
        (f"{V1_JSON};q=0.2, {V1_HTML};q=0.9, text/html;q=0.3", HTML_V1),
        (f"text/html, {V1_HTML}, {V1_JSON}", JSON),
        (f"text/html, {V1_HTML}", HTML_V1),
        (f"text/html;q=0.5, {LATEST_JSON};q=0.500", JSON),
        # The explicit wish goes before the wildcard, quality before both.
        ("text/html, */*", HTML),
        (f"*/*, {V1_JSON}", JSON),
        (f"*/*, {V1_JSON};q=0.5", HTML),
        (f"{V1_HTML}, */*", HTML_V1),
        ("text/*", HTML),
        ("application/*", JSON),
        ("application/*;q=0.5, text/*", HTML),
        # Zero excludes, and the most specific range decides.
        (f"{V1_JSON};q=0, */*", HTML),
        ("text/html;q=0, */*", JSON),
        (f"text/html;q=0, {V1_JSON};q=0, */*;q=0.1", HTML_V1),
        (f"text/*;q=0, {V1_HTML}", HTML_V1),
        (f"{V1_JSON};q=0, {LATEST_JSON}", JSON),
        # Spelling.
        ("Application/VND.PyPI.simple.V1+JSON", JSON),
        (f"{V1_JSON}; charset=utf-8; Q=0.5, text/html;q=0.4", JSON),
        (f" {V1_JSON} ;  q = 0.5 ,,text/html ; q=0.4", JSON),
        # Unreadable members count for nothing.
        (f"{V1_JSON};q=high, text/html;q=0.1", HTML),
        (f"{V1_JSON};q=nan", HTML),
        (f"{V1_JSON};q=1.5", HTML),
        (f"{V1_JSON};q=-1", HTML),
        ("html", HTML),
        (";;,,==", HTML),
        # Nothing we have.
        ("application/json", None),
        ("text/plain, image/*", None),
        ("application/vnd.pypi.simple.v2+json", None),
        ("*/*;q=0", None),
        ("text/html;q=0.0", None),
        (f"{V1_JSON};q=0.000", None),
    ],
)
def test_the_accept_header_decides(accept: str | None, expected: Representation | None) -> None:
    assert expected is negotiate(accept)


@pytest.mark.parametrize(
    ("exact", "expected"),
    [
        (V1_JSON, JSON),
        (LATEST_JSON, JSON),
        (V1_HTML, HTML_V1),
        (LATEST_HTML, HTML_V1),
        ("text/html", HTML),
        ("application/vnd.pypi.simple.v1 json", JSON),
        ("TEXT/HTML", HTML),
        ("", None),
        ("json", None),
        ("*/*", None),
        ("application/json", None),
        ("application/vnd.pypi.simple.v2+json", None),
        (f"{V1_JSON}, text/html", None),
    ],
)
@pytest.mark.parametrize("accept", [None, "text/html", V1_JSON, "application/json", "*/*;q=0"])
def test_the_format_parameter_goes_before_the_header(
    accept: str | None, exact: str, expected: Representation | None
) -> None:
    assert expected is negotiate(accept, exact)


def test_latest_is_never_said() -> None:
    assert [representation.content_type for representation in Representation] == [
        "application/vnd.pypi.simple.v1+json",
        "application/vnd.pypi.simple.v1+html; charset=utf-8",
        "text/html; charset=utf-8",
    ]


ranges = st.sampled_from([V1_JSON, LATEST_JSON, V1_HTML, "text/html", "text/*", "application/*", "*/*", "a/b"])
qualities = st.sampled_from(["", ";q=0", ";q=0.3", ";q=0.7", ";q=1.000"])
members = st.lists(st.tuples(ranges, qualities).map("".join), min_size=1, max_size=6)


@given(members.flatmap(lambda wishes: st.tuples(st.just(wishes), st.permutations(wishes))))
def test_the_order_of_the_header_does_not_matter(orders: tuple[list[str], list[str]]) -> None:
    one, other = orders

    assert negotiate(", ".join(one)) is negotiate(",".join(other))


@given(st.text(max_size=100), st.none() | st.text(max_size=50))
def test_no_header_breaks_it(accept: str, exact: str | None) -> None:
    assert negotiate(accept, exact) in {JSON, HTML_V1, HTML, None}
