"""The key that signs, from the command line; and the one that a machine without services makes for itself."""

from __future__ import annotations

import stat
from pathlib import Path

from pydantic import SecretStr

from registry import signing
from registry.cli.signing_keys import with_key
from registry.settings import Settings
from tests.cli.conftest import Run
from tests.cli.test_provisioning import made, refused

PEM = signing.generate()
ID = signing.load(PEM).id


def test_a_key_is_registered_by_signing_listed_and_expired(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(PEM)
    assert [] == made(run, "signing-key", "list")
    signed = run("signing-key", "sign", signing_key_file=str(file))
    assert (0, [f"id: {ID}", "signed: 0"], "") == (signed.code, signed.lines, signed.stderr)
    assert [{"id": ID, "expires_at": None}] == made(run, "signing-key", "list")
    assert made(run, "signing-key", "expire", ID, "--at", "2026-01-01") is None
    assert [{"id": ID, "expires_at": "2026-01-01T00:00:00Z"}] == made(run, "signing-key", "list")
    assert "404 Signing Key Not Found" == refused(run, "signing-key", "expire", "SHA256:other")

    late = run("signing-key", "sign", signing_key=PEM)
    text = f"registry: REGISTRY_SIGNING_KEY: the signing key {ID} has expired: this server needs a new one\n"
    assert (2, text) == (late.code, late.stderr)


def test_a_server_does_not_start_with_something_else_than_a_key(run: Run) -> None:
    ran = run("serve", signing_key="no key at all", port="0")
    text = "registry: REGISTRY_SIGNING_KEY is not an unencrypted private key in PEM form\n"
    assert (2, "", text) == (ran.code, ran.stdout, ran.stderr)


def test_nothing_is_signed_without_a_key(run: Run) -> None:
    ran = run("signing-key", "sign")
    text = "registry: there is no key to sign with: set REGISTRY_SIGNING_KEY_FILE\n"
    assert (2, text) == (ran.code, ran.stderr)


def test_beside_an_embedded_database_a_key_is_made_once(tmp_path: Path) -> None:
    first, second = (with_key(Settings(data_dir=tmp_path / "var")) for _ in range(2))

    assert first.signing_key is not None
    assert first == second
    signing.load(first.signing_key.get_secret_value())
    (file,) = (tmp_path / "var").iterdir()
    assert ("signing-key.pem", 0o600) == (file.name, stat.S_IMODE(file.stat().st_mode))


def test_a_given_key_comes_first_and_an_external_database_gets_none(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path, signing_key=SecretStr(PEM))
    external = Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://db/registry"))

    assert [given, external] == [with_key(given), with_key(external)]
    assert [] == list(tmp_path.iterdir())
