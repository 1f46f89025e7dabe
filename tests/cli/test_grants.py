"""Reserved prefixes from the command line."""

from __future__ import annotations

from tests.cli.conftest import Run
from tests.cli.test_provisioning import made, refused


def test_prefixes_are_reserved_listed_and_given_back(run: Run) -> None:
    made(run, "group", "create", "acme")
    grant = {"id": 1, "prefix": "acme-tools", "group": "acme"}
    assert grant == made(run, "grant", "create", "Acme.Tools", "--group", "acme")
    assert [grant] == made(run, "grant", "list")
    assert "prefix has already been taken" == refused(run, "grant", "create", "acme-tools", "--group", "acme")
    assert "there is no group 'other'" == refused(run, "grant", "create", "other", "--group", "other")
    assert made(run, "grant", "delete", "acme_tools") is None
    assert [] == made(run, "grant", "list")
    assert "'acme' is not reserved" == refused(run, "grant", "delete", "acme")
