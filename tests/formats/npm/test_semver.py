from __future__ import annotations

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import Invalid
from registry.formats.npm import semver
from registry.formats.npm.semver import Version

numbers = st.integers(min_value=0, max_value=20)
identifiers = st.one_of(numbers.map(str), st.from_regex(r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,2}", fullmatch=True))
versions = st.builds(
    Version,
    numbers,
    numbers,
    numbers,
    st.lists(identifiers, max_size=4).map(".".join),
    st.lists(st.from_regex(r"[0-9A-Za-z-]{1,3}", fullmatch=True), max_size=2).map(".".join),
)


def written(version: Version) -> str:
    return version.identity + (f"+{version.build}" if version.build else "")


def compare(left: Version, right: Version) -> int:
    """Item 11 of semver.org, step by step."""
    for ours, theirs in zip((left.major, left.minor, left.patch), (right.major, right.minor, right.patch), strict=True):
        if ours != theirs:
            return -1 if ours < theirs else 1
    if not left.prerelease or not right.prerelease:
        return bool(right.prerelease) - bool(left.prerelease)
    mine, other = left.prerelease.split("."), right.prerelease.split(".")
    for ours, theirs in zip(mine, other, strict=False):
        if ours == theirs:
            continue
        if ours.isdigit() and theirs.isdigit():
            return -1 if int(ours) < int(theirs) else 1
        if ours.isdigit() or theirs.isdigit():
            return -1 if ours.isdigit() else 1
        return -1 if ours < theirs else 1
    return (len(mine) > len(other)) - (len(mine) < len(other))


@given(versions)
def test_what_is_written_is_parsed_to_the_same(version: Version) -> None:
    assert version == semver.parse(written(version))


@given(st.lists(versions, min_size=1, max_size=6))
def test_the_order_is_that_of_semver_org(some: list[Version]) -> None:
    by_rule = sorted(some, key=functools.cmp_to_key(compare))

    assert by_rule == sorted(some, key=lambda version: version.precedence)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "v1.0.0",
        "1.0.0 ",
        "1.0.0\n",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0-a..b",
        "1.0.0+",
        "1.0.0+a+b",
        "1./2.3",
        "../../1.2.3",
        "%2e%2e%2f1.2.3",
        "1.0.0-é",
        "\u0661.0.0",
        "9007199254740992.0.0",
        f"1.0.0-{'a' * 251}",
    ],
)
def test_what_is_no_strict_version_is_refused_in_gitlabs_words(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        semver.parse(text)

    assert "Validation failed: Version should follow SemVer: https://semver.org" == refusal.value.text
    assert not semver.is_valid(text)


@pytest.mark.parametrize("text", ["0.0.0", "9007199254740991.0.0", "1.0.0-20260101123456789012", f"1.0.0-{'a' * 250}"])
def test_the_largest_versions_are_accepted(text: str) -> None:
    assert semver.is_valid(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" =v1.0.0 ", "1.0.0"), ("v1.2.3", "1.2.3"), ("3.0.0-rc.1+build", "3.0.0-rc.1"), ("1.0", None), ("", None)],
)
def test_a_version_of_a_package_json_is_cleaned_as_npm_does(text: str, expected: str | None) -> None:
    assert expected == semver.clean(text)


def test_the_highest_version_may_be_a_prerelease() -> None:
    assert "2.0.0-beta.11" == semver.highest(["1.9.0", "2.0.0-beta.2", "2.0.0-beta.11", "1.10.0"])
    assert semver.highest([]) is None


@pytest.mark.parametrize(
    "text", ["1.0.0", "v1", "1.x", "x", "X", "*", "~1.2", "^2", "=3", ">=1", "1.2.3-rc.1", "1.0.0+b"]
)
def test_a_range_is_recognised(text: str) -> None:
    assert semver.is_comparator(text)


@pytest.mark.parametrize("text", ["latest", "next", "v1-lts", "beta.1", "1.2.3.4", "node-18", "xx", "", "v"])
def test_a_tag_is_not_taken_for_a_range(text: str) -> None:
    assert not semver.is_comparator(text)
