"""`registry advisories`: files as operators have them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run
from tests.cli.test_provisioning import made, refused


def document(osv_id: str, **fields: Any) -> dict[str, Any]:
    affected = [{"package": {"ecosystem": "npm", "name": "gadget"}, "versions": ["1.0.0"]}]
    return {"id": osv_id, "modified": "2026-01-01T00:00:00Z", "affected": affected, **fields}


def ids(run: Run, *osv_ids: str) -> None:
    """Exactly these are loaded: each can be removed, and then there are none."""
    made(run, "advisories", "remove", *osv_ids)
    assert [] == made(run, "advisories", "list")


def test_every_form_of_files_is_loaded(run: Run, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "one.json").write_text(json.dumps(document("A-1")))
    (tmp_path / "below" / "array.json").write_text(json.dumps([document("A-2"), document("A-3")]))
    (tmp_path / "lines.jsonl").write_text(f"{json.dumps(document('A-4'))}\n\n{json.dumps(document('A-5'))}\n")
    (tmp_path / "notes.txt").write_text("nothing to be read")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("npm/A-6.json", json.dumps(document("A-6")))
        archive.writestr("README.md", "nothing to be read")

    assert {"loaded": 6, "older": 0, "removed": 0} == made(run, "advisories", "load", str(tmp_path))
    assert {"loaded": 1, "older": 0, "removed": 0} == made(run, "advisories", "load", str(tmp_path / "all.zip"))
    assert [("high", 6)] == [(row["severity"], row["advisories"]) for row in made(run, "advisories", "list")]
    answer = made(run, "advisories", "load", str(tmp_path / "one.json"), "--replace", "--keep", "A-4", "--keep", "A-5")
    assert {"loaded": 1, "older": 0, "removed": 3} == answer
    ids(run, "A-1", "A-4", "A-5")


def test_what_cannot_be_read_is_named_and_nothing_is_loaded(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.json").write_text(json.dumps(document("A-1")))
    for name, content, said in (
        ("b.json", b"{", "is not JSON"),
        ("b.json", b"[7]", "is a JSON object"),
        ("b.json", json.dumps({"id": "A-2"}).encode(), "says when it was modified"),
        ("b.zip", b"no archive", "is not a zip archive"),
    ):
        (bad / name).write_bytes(content)
        text = refused(run, "advisories", "load", str(bad))
        assert (True, True) == (str(bad / name) in text, said in text), text
        (bad / name).unlink()
    nowhere = tmp_path / "nowhere.json"
    assert f"{nowhere}: No such file or directory" == refused(run, "advisories", "load", str(nowhere))
    assert "one of these advisories was not loaded; none was removed" == refused(run, "advisories", "remove", "A-1")
    assert [] == made(run, "advisories", "list")
