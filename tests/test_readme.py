"""What the README says of settings is what the code has, and the tests it names are there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from registry.settings import PREFIX, Settings

README = Path(__file__).parent.parent / "README.md"
CHANGELOG = README.with_name("CHANGELOG.md")
_TABLE = re.compile(r"(<!-- settings: .*?-->\n)(.*?)(<!-- /settings -->)", re.DOTALL)
_FEATURES = re.compile(
    r"^\| Protocol feature \| Since \| Client test that shows it \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", re.MULTILINE
)


def table() -> str:
    rows = ["| Variable | Meaning | Default |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`" if field.default != "" else "none"
        rows.append(f"| `{PREFIX}{name.upper()}` | {field.description} | {default} |")
    return "\n".join(rows) + "\n"


def test_the_settings_table_is_complete() -> None:
    text = README.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_README"):
        README.write_text(_TABLE.sub(lambda match: match[1] + table() + match[3], text), encoding="utf-8")
        text = README.read_text(encoding="utf-8")
    found = _TABLE.search(text)
    assert found is not None
    assert table() == found[2]


def test_every_protocol_feature_names_a_release_and_client_tests_that_exist() -> None:
    found = _FEATURES.search(README.read_text(encoding="utf-8"))
    assert found is not None
    releases = re.findall(r"^## (\S+)", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    files = [*(README.parent / "tests/clients").glob("test_*.py")]
    tests = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    known = tests | {path.relative_to(README.parent).as_posix() for path in files}

    for row in found[1].splitlines():
        _, feature, since, shown, _ = (cell.strip() for cell in row.split("|"))
        named = set(re.findall(r"`((?:tests/|test_)[^`]*)`", shown))
        assert since in releases, feature
        assert named, feature
        assert named <= known, feature
