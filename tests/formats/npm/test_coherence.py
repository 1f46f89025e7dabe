from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from registry.errors import Invalid
from registry.formats.npm import coherence
from registry.formats.npm.tarball import Inspection

# What npm 11.19, pnpm 12.21, yarn 1.22, yarn 4.18 and bun 1.4 really sent when they published real packages and a few
# made to be difficult, cut down to the fields that are compared, and what their tarballs hold.
PUBLISHES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "publishes.json").read_text())
PUBLISHED = [pytest.param(publish, id=f"{publish['client']}: {publish['manifest']['name']}") for publish in PUBLISHES]
EVERY_FIELD: dict[str, Any] = {
    "name": "widget",
    "version": "1.0.0",
    "dependencies": {"a": "^1.0.0", "b": "user/repo"},
    "optionalDependencies": {"o": "1"},
    "devDependencies": {"d": "1"},
    "peerDependencies": {"p": "*"},
    "peerDependenciesMeta": {"p": {"optional": True}},
    "acceptDependencies": {"a": "^2.0.0"},
    "bundleDependencies": ["a"],
    "bin": {"widget": "cli.js"},
    "scripts": {"preinstall": "x", "install": "y", "postinstall": "z", "test": "t"},
    "os": ["linux", "darwin"],
    "cpu": ["x64"],
    "libc": ["musl"],
    "engines": {"node": ">=18"},
}


def inspection(package_json: dict[str, Any], **facts: Any) -> Inspection:
    found: dict[str, Any] = {
        "package_json": package_json,
        "file_count": 1,
        "unpacked_size": 1,
        "has_shrinkwrap": False,
        "has_gyp": False,
        "has_binding_gyp": False,
        "bin_files": [],
    }
    return Inspection(**found | facts)


def check(manifest: dict[str, Any], package_json: dict[str, Any], **facts: Any) -> None:
    identity = {"name": "widget", "version": "1.0.0"}
    coherence.check(identity | manifest, inspection(identity | package_json, **facts), strict_name=True)


@pytest.mark.parametrize("publish", PUBLISHED)
def test_what_real_clients_publish_is_coherent(publish: dict[str, Any]) -> None:
    coherence.check(publish["manifest"], Inspection(**publish["inspection"]), strict_name=True)


@pytest.mark.parametrize("publish", PUBLISHED)
def test_no_real_publish_stays_coherent_with_an_install_script_more(publish: dict[str, Any]) -> None:
    found = copy.deepcopy(publish["inspection"])
    scripts = found["package_json"].get("scripts")
    found["package_json"]["scripts"] = (scripts if isinstance(scripts, dict) else {}) | {"postinstall": "curl evil"}

    with pytest.raises(Invalid, match=r"Package manifest is not coherent: scripts\.postinstall differs"):
        coherence.check(publish["manifest"], Inspection(**found), strict_name=True)


def changed(value: Any) -> Any:
    if isinstance(value, dict):
        return value | {"evil": "1.0.0"}
    return [*value, "evil"] if isinstance(value, list) else f"{value}-evil"


FIELDS = [field for field in EVERY_FIELD if field not in {"name", "version", "scripts"}]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("change", [changed, lambda _: None])
def test_every_field_that_installers_act_on_is_compared(field: str, change: Any) -> None:
    other = EVERY_FIELD | {field: change(EVERY_FIELD[field])}

    for manifest, package_json in ((EVERY_FIELD, other), (other, EVERY_FIELD)):
        with pytest.raises(Invalid, match="Package manifest is not coherent: ") as refusal:
            check(manifest, package_json)
        # A bundled dependency is one of the dependencies, so that either may be the first to differ.
        named = {"bundleDependencies", "dependencies"} if field == "bundleDependencies" else {field}
        assert refusal.value.text.split(": ")[1].split()[0] in named
    check(other, copy.deepcopy(other))


@pytest.mark.parametrize("event", ["preinstall", "install", "postinstall"])
def test_every_install_script_is_compared(event: str) -> None:
    other = EVERY_FIELD | {"scripts": EVERY_FIELD["scripts"] | {event: "evil"}}

    with pytest.raises(Invalid) as refusal:
        check(EVERY_FIELD, other)

    expected = f"Package manifest is not coherent: scripts.{event} differs from package.json in the tarball"
    assert expected == refusal.value.text


@pytest.mark.parametrize("field", ["description", "main", "exports", "keywords", "license"])
def test_fields_that_installers_ignore_may_differ(field: str) -> None:
    check({field: "a"}, {field: "b"})


@pytest.mark.parametrize("version", ["1.0.1", "1.0", "", None, 1])
def test_the_version_must_agree(version: object) -> None:
    with pytest.raises(Invalid, match="version differs from package"):
        check({}, {"version": version})


def test_another_name_inside_is_tolerated_unless_names_are_strict() -> None:
    found = inspection({"name": "other", "version": "1.0.0", "bin": "cli.js"})
    manifest = {"name": "@acme/widget", "version": "1.0.0", "bin": {"widget": "cli.js"}}

    coherence.check(manifest, found, strict_name=False)
    with pytest.raises(Invalid, match="name differs from package"):
        coherence.check(manifest, found, strict_name=True)


BUNDLING = {"dependencies": {"a": "1"}, "bundleDependencies": ["a"]}


@pytest.mark.parametrize(
    ("manifest", "package_json"),
    [
        ({}, {"dependencies": {}, "bin": {}, "scripts": {}, "os": [], "engines": {}, "bundleDependencies": False}),
        ({"dependencies": {"a": "1", "b": ">=2"}}, {"dependencies": ["a@1", "b >=2"]}),
        ({"dependencies": {"a": "", "b": "2"}}, {"dependencies": "a, b@2"}),
        ({"dependencies": {"a": "1"}}, {"dependencies": {"a": "1", "bad": 3}}),
        ({"optionalDependencies": {"o": "1"}}, {"dependencies": {"o": "1"}, "optionalDependencies": {"o": "1"}}),
        (BUNDLING, {"dependencies": {"a": "1"}, "bundledDependencies": ["a"]}),
        (BUNDLING, {"dependencies": {"a": "1"}, "bundleDependencies": True}),
        ({"bundleDependencies": ["a"], "dependencies": {"a": "*"}}, {"bundleDependencies": {"a": "1"}}),
        ({"bin": {"widget": "cli.js"}}, {"bin": "./cli.js"}),
        ({"bin": {"a.js": "bin/a.js"}}, {"bin": ["bin/a.js"]}),
        ({"bin": {"evil": "x.js", "b": "lib/b.js"}}, {"bin": {"../evil": "../../x.js", "b": "lib\\b.js", "": "q"}}),
        ({"scripts": {"install": "node-pre-gyp"}}, {"scripts": {"install": "./node_modules/.bin/node-pre-gyp"}}),
        ({"scripts": {"install": ""}}, {"scripts": {"install": 7}}),
        ({}, {"scripts": "nope"}),
        ({"os": ["linux"]}, {"os": "linux"}),
        ({"cpu": ["arm64", "x64"]}, {"cpu": ["x64", "arm64"]}),
        ({"version": "1.0.0"}, {"version": " =v1.0.0+build "}),
    ],
)
def test_the_normalisations_of_npm_are_no_differences(manifest: dict[str, Any], package_json: dict[str, Any]) -> None:
    check(manifest, package_json)
    check(package_json, package_json)


@pytest.mark.parametrize(
    ("sent", "packed"),
    [
        ("github:user/repo", "user/repo"),
        ("github:user/repo#v1", "user/repo.git#v1"),
        ("git+ssh://git@github.com/user/repo.git#v1", "git@github.com:user/repo.git#v1"),
        ("git+https://github.com/user/repo.git", "https://www.github.com/user/repo"),
        ("git+https://github.com/user/repo.git#branch", "https://github.com/user/repo/tree/branch"),
        ("git://github.com/user/repo.git", "git://github.com/user/repo"),
        ("gitlab:group/sub/repo", "git+ssh://git@gitlab.com/group/sub/repo.git"),
        ("bitbucket:user/repo", "git@bitbucket.org:user/repo.git"),
        ("gist:11081aaa281", "git+https://gist.github.com/user/11081aaa281.git"),
        ("https://git.sr.ht/~user/repo", "sourcehut:~user/repo"),
        ("github:user/repo#semver:^1.0 || 2", "user/repo#semver:%5E1.0 || 2"),
    ],
)
def test_a_git_reference_is_compared_in_one_spelling(sent: str, packed: str) -> None:
    check({"dependencies": {"a": sent}}, {"dependencies": {"a": packed}})


@pytest.mark.parametrize(
    ("sent", "packed"),
    [
        ("^1.0.0", "^1.0.1"),
        ("user/repo", "user/other"),
        ("user/repo#a", "user/repo#b"),
        ("user/repo", "user/repo#b"),
        ("github:user/repo", "gitlab:user/repo"),
        ("https://github.com/user/repo", "https://github.com.evil.test/user/repo"),
        ("https://github.com/user/repo", "https://evil.test/github.com/user/repo"),
        ("https://github.com/user/repo/archive/a.tar.gz", "https://github.com/user/repo"),
        ("https://gitlab.com/g/r/-/archive/a.tar.gz", "gitlab:g/r"),
        ("./user/repo", "user/repo"),
        ("npm:user", "user"),
    ],
)
def test_another_range_or_repository_is_a_difference(sent: str, packed: str) -> None:
    with pytest.raises(Invalid, match="dependencies differs"):
        check({"dependencies": {"a": sent}}, {"dependencies": {"a": packed}})


REBUILD = {"scripts": {"install": "node-gyp rebuild"}}


def test_the_install_script_npm_adds_for_a_gyp_file_is_coherent() -> None:
    check(REBUILD, {}, has_gyp=True)


@pytest.mark.parametrize(
    ("manifest", "package_json", "has_gyp"),
    [
        (REBUILD, {}, False),
        (REBUILD, {"gypfile": False}, True),
        (REBUILD, {"scripts": {"install": "evil"}}, True),
        ({"scripts": {"install": "node-gyp rebuild; evil"}}, {}, True),
        ({}, REBUILD, True),
    ],
)
def test_another_install_script_is_not(
    manifest: dict[str, Any], package_json: dict[str, Any], *, has_gyp: bool
) -> None:
    with pytest.raises(Invalid, match=r"scripts\.install differs"):
        check(manifest, package_json, has_gyp=has_gyp)


BIN_FOLDER = {"directories": {"bin": "./bin"}}
BIN_FILES = ["bin/one.js", "bin/sub/two"]


@pytest.mark.parametrize(
    "manifest",
    [{}, {"bin": {"one.js": "bin/one.js"}}, {"bin": {"one.js": "bin/one.js", "sub": "bin/sub", "two": "bin/sub/two"}}],
)
def test_the_commands_listed_from_directories_bin_are_coherent(manifest: dict[str, Any]) -> None:
    check(BIN_FOLDER | manifest, BIN_FOLDER, bin_files=BIN_FILES)


def test_another_directory_of_commands_is_not_coherent() -> None:
    with pytest.raises(Invalid, match=r"directories\.bin differs"):
        check({"directories": {"bin": "evil"}}, {})


@pytest.mark.parametrize("command", [{"evil": "bin/one.js"}, {"one.js": "lib/one.js"}, {"x.js": "bin/x.js"}])
def test_other_commands_are_not(command: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="bin differs"):
        check(BIN_FOLDER | {"bin": command}, BIN_FOLDER, bin_files=BIN_FILES)
