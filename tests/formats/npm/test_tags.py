from __future__ import annotations

import pytest

from registry.errors import Invalid
from registry.formats.npm import tags


@pytest.mark.parametrize("tag", ["latest", "next", "v1-lts", "beta.1", "release~2", "constructor", "x" * 255])
def test_a_tag_that_npm_can_ask_for_is_accepted(tag: str) -> None:
    assert tag == tags.check_name(tag)


@pytest.mark.parametrize("tag", ["", "a b", "a/b", "..", "é", "a\n", "a%2f", "__proto__", "@x", "x" * 256])
def test_a_tag_that_npm_could_not_ask_for_is_refused(tag: str) -> None:
    with pytest.raises(Invalid, match="is not a tag name"):
        tags.check_name(tag)


@pytest.mark.parametrize("tag", ["1.0.0", "v2", "1.x", "x", "*", "~1"])
def test_a_tag_that_reads_as_a_range_is_refused(tag: str) -> None:
    with pytest.raises(Invalid) as refusal:
        tags.check_name(tag)

    assert refusal.value.text in {
        f"Tag name must not be a valid SemVer range: {tag}",
        f"{tag!r} is not a tag name: letters, digits and -._~!*'() are allowed",
    }


@pytest.mark.parametrize("body", [b'"1.0.0"', b' "1.0.0"\n', b"1.0.0"])
def test_a_body_is_a_version(body: bytes) -> None:
    assert "1.0.0" == tags.parse_body(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", '400 Bad request - "Version" not given'),
        (b" \n", '400 Bad request - "Version" not given'),
        (b'{"version":"1.0.0"}', "The body is a version as a JSON string"),
        (b'["1.0.0"]', "The body is a version as a JSON string"),
        (b'"1.0.0', "Invalid json"),
        (b'"latest"', "Validation failed: Version should follow SemVer: https://semver.org"),
        (b"\xff", "Validation failed: Version should follow SemVer: https://semver.org"),
        (b'"' + b"[" * 10_000, "Invalid json"),
        (b"[" * 100_000, "Invalid json"),
    ],
)
def test_another_body_is_refused(body: bytes, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        tags.parse_body(body)

    assert text == refusal.value.text
