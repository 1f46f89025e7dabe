from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sigstore.models import Bundle

from registry import attestations
from registry.attestations import Signer, Trust
from registry.errors import Invalid, Unavailable
from tests.sigstore_authority import GITHUB, SLSA, Authority, Identity, statement

AUTHORITY = Authority()
PAYLOAD = statement("pkg:npm/widget@1.0.0", {"sha512": "ab"}, SLSA)
MADE = AUTHORITY.bundle(PAYLOAD)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("trust") / "trusted_root.json"
    path.write_text(AUTHORITY.trusted_root())
    return str(path)


def parsed(made: dict[str, Any]) -> Bundle:
    return Bundle.from_json(json.dumps(made))


def signed_by(made: dict[str, Any], trust: Trust) -> Signer:
    bundle = parsed(made)
    attestations.statement(bundle)
    return attestations.signer(bundle, trust)


def test_a_statement_is_what_was_signed() -> None:
    assert {
        "type": "https://in-toto.io/Statement/v1",
        "subject": {"name": "pkg:npm/widget@1.0.0", "digest": {"sha512": "ab"}},
        "predicate_type": SLSA,
    } == attestations.statement(parsed(MADE))


@given(at=st.integers(0, len(PAYLOAD) - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_payload_can_be_changed(at: int, bit: int) -> None:
    changed = bytearray(PAYLOAD)
    changed[at] ^= 1 << bit
    made = json.loads(json.dumps(MADE))
    made["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    with pytest.raises(Invalid, match="not signed by its certificate"):
        attestations.statement(parsed(made))


def test_a_signer_is_verified_when_expected_before_a_trust_root(root: str) -> None:
    named = Identity().name
    expected = f"{GITHUB} https://github.com/acme/tool/*"
    assert {
        "verified": True,
        "issuer": GITHUB,
        "identity": named,
        "claims": {
            "source_repository_uri": "https://github.com/acme/tool",
            "source_repository_digest": "c0ffee",
            "source_repository_ref": "refs/tags/v1",
            "build_config_uri": named,
        },
    } == signed_by(MADE, {"root": root, "identities": ["https://elsewhere.example *", expected]})


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "*",
        GITHUB,
        f"{GITHUB} ",
        f" {Identity().name}",
        f"{GITHUB}/ {Identity().name}",
        f"* {Identity().name}",
        f"{GITHUB} https://github.com/acme/",
        f"{GITHUB} https://github.com/acme/*v2",
        f"{GITHUB} https://github.com/acme/tool/.github/workflows/release_yml@refs/tags/v1",
    ],
)
def test_a_rule_names_one_issuer_and_whole_identities(root: str, rule: str) -> None:
    with pytest.raises(Invalid, match="which attestation_identities does not name"):
        signed_by(MADE, {"root": root, "identities": [rule]})


@given(text=st.text("ab\n"), pattern=st.text("ab*\n"))
@example(text="aba", pattern="ab*ba")
def test_a_star_stands_for_any_text(text: str, pattern: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert (re.fullmatch(expression, text, re.DOTALL) is not None) == attestations.matches(text, pattern)


def test_many_stars_take_no_longer() -> None:
    assert not attestations.matches("a" * 1_000_000, "*a" * 5_000 + "b")
    assert attestations.matches("a" * 1_000_000, "a*" * 5_000 + "a")


def test_who_the_certificate_does_not_name_is_nobody(root: str) -> None:
    with pytest.raises(Invalid, match="which attestation_identities does not name"):
        signed_by(AUTHORITY.bundle(PAYLOAD, Identity(issuer="")), {"root": root, "identities": [" *", "* *"]})


def entry(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["verificationMaterial"]["tlogEntries"][0]
    return found


def another_time(made: dict[str, Any]) -> None:
    entry(made)["integratedTime"] = str(int(AUTHORITY.now.timestamp()) + 86_400)


def another_entry(made: dict[str, Any]) -> None:
    made["verificationMaterial"]["tlogEntries"] = AUTHORITY.bundle(PAYLOAD)["verificationMaterial"]["tlogEntries"]


def another_root(made: dict[str, Any]) -> None:
    entry(made)["inclusionProof"]["rootHash"] = base64.b64encode(bytes(32)).decode()


def another_checkpoint(made: dict[str, Any]) -> None:
    stranger = Authority().bundle(PAYLOAD)
    entry(made)["inclusionProof"]["checkpoint"] = entry(stranger)["inclusionProof"]["checkpoint"]


def no_promise(made: dict[str, Any]) -> None:
    entry(made)["inclusionPromise"]["signedEntryTimestamp"] = base64.b64encode(bytes(70)).decode()


@pytest.mark.parametrize("change", [another_time, another_entry, another_root, another_checkpoint, no_promise])
def test_a_bundle_that_the_log_does_not_vouch_for_is_refused(
    root: str, change: Callable[[dict[str, Any]], None]
) -> None:
    made = json.loads(json.dumps(MADE))
    change(made)
    with pytest.raises(Invalid, match="the attestation does not verify"):
        signed_by(made, {"root": root, "identities": []})


def test_a_certificate_of_another_authority_is_refused(root: str) -> None:
    with pytest.raises(Invalid, match="the attestation does not verify"):
        signed_by(Authority().bundle(PAYLOAD), {"root": root, "identities": []})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json"}'])
def test_a_trust_root_that_is_none_makes_nobody_trusted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trusted_root.json"
    path.write_text(text)
    with pytest.raises(Unavailable, match="the trust root is not usable"):
        signed_by(MADE, {"root": str(path), "identities": []})
