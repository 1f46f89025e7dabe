"""Dist-tags: their names and the body that sets one."""

from __future__ import annotations

import re

from registry.errors import Invalid
from registry.formats.npm import semver, strictjson

MAX_LENGTH = 255  # characters

# What encodeURIComponent leaves alone: npm refuses to ask for any other tag (`npm-package-arg`, EINVALIDTAGNAME).
_TAG = re.compile(r"[A-Za-z0-9._~!*'()-]+")


def check_name(tag: str) -> str:
    """The tag, when clients can ask for it. Raises Invalid for one that they would read as a version range."""
    if len(tag) > MAX_LENGTH or not _TAG.fullmatch(tag) or not tag.strip(".") or tag == "__proto__":
        raise Invalid(f"{strictjson.show(tag)} is not a tag name: letters, digits and -._~!*'() are allowed")
    if semver.is_comparator(tag):
        raise Invalid(f"Tag name must not be a valid SemVer range: {tag}")
    return tag


def parse_body(body: bytes) -> str:
    """The version in the body of `PUT .../dist-tags/<tag>`: a JSON string, or the bare text as curl users send it.

    Raises Invalid, with GitLab's text when the body is empty.
    """
    text = body.strip()
    if not text:
        raise Invalid('400 Bad request - "Version" not given')
    version = strictjson.loads(text) if text.startswith((b'"', b"{", b"[")) else text.decode("ascii", "replace")
    if not isinstance(version, str):
        raise Invalid("The body is a version as a JSON string")
    semver.parse(version)
    return version
