from __future__ import annotations

import json
from typing import Any

import pytest

from registry.errors import Invalid
from registry.formats.npm import manifest, publication
from registry.formats.npm.manifest import Manifest
from registry.formats.npm.splitter import Splitter
from registry.formats.npm.tarball import Inspection
from tests.formats.npm.documents import NAME, a_document


def build(sent: dict[str, Any], **facts: Any) -> Manifest:
    splitter = Splitter()
    splitter.feed(json.dumps(a_document(b"tarball", **sent)).encode())
    found = publication.parse(splitter.finish(), NAME)
    assert isinstance(found, publication.Publication)
    inspected: dict[str, Any] = {
        "package_json": {},
        "file_count": 1,
        "unpacked_size": 1,
        "has_shrinkwrap": False,
        "has_gyp": False,
        "has_binding_gyp": False,
        "bin_files": [],
    }
    return manifest.build(found, Inspection(**inspected | facts))


KEPT: dict[str, Any] = {
    "name": NAME,
    "version": "1.0.0",
    "description": "Ünïcode",
    "main": "index.js",
    "exports": {".": "./index.js"},
    "contributors": ["ada"],
    "type": "module",
    "scripts": {"test": "node test.js"},
    "dependencies": {"a": "^1"},
    "optionalDependencies": {"b": "^1"},
    "devDependencies": {"c": "^1"},
    "peerDependencies": {"d": "^1"},
    "peerDependenciesMeta": {"d": {"optional": True}},
    "acceptDependencies": {"a": "^2"},
    "bundleDependencies": ["a"],
    "bin": {"widget": "cli.js"},
    "directories": {"lib": "lib"},
    "engines": {"node": ">=18"},
    "os": ["linux"],
    "cpu": ["x64"],
    "libc": ["musl"],
    "funding": {"url": "https://example.org"},
    "_nodeVersion": "24.0.0",
    "_npmVersion": "11.0.0",
    "gitHead": "abc",
    "readmeFilename": "README.md",
}
DROPPED: dict[str, Any] = {
    "readme": "# Widget",
    "licenseText": "MIT",
    "deprecated": "soon",
    "maintainers": [{"name": "somebody else"}],
    "hasInstallScript": True,
    "integrity": "sha512-",
    "shasum": "0",
    "_resolved": "/home/ada/widget.tgz",
    "_from": "file:widget.tgz",
    "_integrity": "sha512-",
    "_hasShrinkwrap": True,
    "_npmUser": {"name": "somebody else"},
}


def test_everything_readers_need_is_kept_and_nothing_private() -> None:
    built = build(KEPT | DROPPED)

    assert KEPT | {"_id": f"{NAME}@1.0.0"} == json.loads(built.full)


def test_the_abbreviated_form_has_what_installers_need() -> None:
    built = build(KEPT | DROPPED)

    left_out = {
        "description",
        "main",
        "exports",
        "contributors",
        "type",
        "scripts",
        "gitHead",
        "readmeFilename",
        "_nodeVersion",
        "_npmVersion",
    }
    assert {key: value for key, value in KEPT.items() if key not in left_out} == json.loads(built.abbreviated)


@pytest.mark.parametrize(
    "sent", [{"bundledDependencies": ["a"]}, {"bundleDependencies": {"a": "1"}}, {"bundleDependencies": True}]
)
def test_bundled_dependencies_are_served_as_a_list(sent: dict[str, Any]) -> None:
    built = json.loads(build({"dependencies": {"a": "1"}, **sent}).abbreviated)

    assert (["a"], False) == (built["bundleDependencies"], "bundledDependencies" in built)


@pytest.mark.parametrize(
    ("sent", "facts", "expected"),
    [
        ({}, {}, False),
        ({"scripts": {"prepare": "x", "test": "y"}}, {}, False),
        ({"scripts": {"install": ""}}, {}, False),
        ({"scripts": {"preinstall": "x"}}, {}, True),
        ({"scripts": {"install": "x"}}, {}, True),
        ({"scripts": {"postinstall": "x"}}, {}, True),
        ({}, {"has_binding_gyp": True}, True),
        ({}, {"has_binding_gyp": True, "package_json": {"gypfile": False}}, False),
        ({"hasInstallScript": True}, {}, False),
    ],
)
def test_the_server_says_whether_installing_runs_code(
    sent: dict[str, Any], facts: dict[str, Any], *, expected: bool
) -> None:
    built = build(sent, **facts)

    assert [expected, expected] == ["hasInstallScript" in json.loads(text) for text in (built.full, built.abbreviated)]


def test_the_server_says_whether_there_is_a_shrinkwrap() -> None:
    built = build({}, has_shrinkwrap=True)

    assert [True, True] == [json.loads(text)["_hasShrinkwrap"] for text in (built.full, built.abbreviated)]


def test_a_huge_manifest_is_refused_in_gitlabs_words() -> None:
    with pytest.raises(Invalid) as refusal:
        build({"exports": {"x" * 1024 * 1024: "y"}})

    expected = "Validation failed: Package json structure is too large. Maximum size is 1048576 characters"
    assert expected == refusal.value.text
