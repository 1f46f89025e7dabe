"""What the README says of settings is what the code has."""

from __future__ import annotations

import os
import re
from pathlib import Path

from registry.settings import PREFIX, Settings

README = Path(__file__).parent.parent / "README.md"
_TABLE = re.compile(r"(<!-- settings: .*?-->\n)(.*?)(<!-- /settings -->)", re.DOTALL)


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
