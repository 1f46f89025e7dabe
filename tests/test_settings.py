"""Settings: read once, strictly, with an answer that says what to type instead."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.settings import PREFIX, SECRETS, Settings, SettingsError, read


def refused(**environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read({f"{PREFIX}{name}": value for name, value in environment.items()})
    return str(caught.value)


def given_settings(**environment: str) -> Settings:
    return read({f"{PREFIX}{name}": value for name, value in environment.items()})


def test_nothing_set_is_a_laptop() -> None:
    settings = read({"PATH": "/bin", "HOME": "/root"})
    assert Settings.model_validate({}) == settings
    assert "http://127.0.0.1:8080" == settings.base_url
    assert (Path("var").absolute() / "objects").as_uri() == settings.store_url


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("PROT", "PORT"),
        ("EXTERNAL_URI", "EXTERNAL_URL"),
        ("DATABASE_URLS", "DATABASE_URL"),
        ("STORAGE", "STORAGE_URL"),
        ("WORKER", "WORKERS"),
        ("ROOT_TOKEN_FILES", "ROOT_TOKEN"),
        ("STORAGE_URL_FILE", "STORAGE_URL"),
    ],
)
def test_an_unknown_variable_names_the_nearest_known_one(variable: str, nearest: str) -> None:
    assert f"REGISTRY_{variable} is not a setting; did you mean REGISTRY_{nearest}?" == refused(**{variable: "x"})


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30))
def test_any_unknown_variable_is_refused_with_a_sentence(name: str) -> None:
    if name.lower() not in Settings.model_fields and not name.lower().endswith("_file"):
        assert f"{PREFIX}{name} is not a setting; did you mean REGISTRY_" in refused(**{name: "x"})


def test_empty_is_unset() -> None:
    assert read({}) == given_settings(PORT="", EXTERNAL_URL="", ROOT_TOKEN="", ROOT_TOKEN_FILE="")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("WORKERS", "0"),
        ("WORKERS", "65"),
        ("DATABASE_POOL", "1"),
        ("STALE_SECONDS", "601"),
        ("STALE_SECONDS", "1.5"),
        ("UPLOAD_MEMORY_BYTES", "1024"),
        ("DOCUMENT_CACHE_BYTES", "0"),
        ("DOWNLOADS", "sometimes"),
        ("LOG_LEVEL", "trace"),
        ("NPM_TARBALL_NAMES", "short"),
        ("EXTERNAL_URL", "packages.example.com"),
        ("EXTERNAL_URL", "ftp://packages.example.com"),
        ("EXTERNAL_URL", "https://"),
        ("EXTERNAL_URL", "https://packages.example.com/?a=b"),
        ("EXTERNAL_URL", "https://packages.example.com/#top"),
        ("EXTERNAL_URL", "https://me:secret@packages.example.com"),
        ("EXTERNAL_URL", "https://packages.example.com:99999"),
        ("EXTERNAL_URL", "https://[::1"),
        ("GITLAB_URL", "gitlab"),
        ("TRUST_ROOT", "/nowhere/trusted_root.json"),
        ("TRUST_ROOT", __file__),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
    ],
)
def test_a_value_out_of_bounds_names_its_variable(name: str, value: str) -> None:
    assert refused(**{name: value}).startswith(f"REGISTRY_{name}: ")


def test_every_fault_is_told_at_once() -> None:
    text = refused(PORT="x", WORKERS="0")
    assert ("REGISTRY_PORT: " in text, "REGISTRY_WORKERS: " in text) == (True, True)


@pytest.mark.parametrize("name", ["PORT", "EXTERNAL_URL", "WORKERS", "STALE_SECONDS"])
def test_what_is_refused_is_not_repeated(name: str) -> None:
    assert "hunter2" not in refused(**{name: "hunter2:hunter2"})


def test_a_trust_root_is_a_file_of_its_type(tmp_path: Path) -> None:
    file = tmp_path / "root.json"
    file.write_text('{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}')
    assert "REGISTRY_TRUST_ROOT: " in refused(TRUST_ROOT=str(file))
    file.write_text('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}')
    assert file == given_settings(TRUST_ROOT=str(file)).trust_root


def test_secrets_do_not_show() -> None:
    settings = given_settings(**{name.upper(): "postgresql://hunter2" for name in SECRETS})
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    for name in SECRETS:
        assert "postgresql://hunter2" == getattr(settings, name).get_secret_value()


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_may_stand_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(" glpat-secret\n")
    settings = given_settings(**{f"{name.upper()}_FILE": str(file)})
    assert "glpat-secret" == getattr(settings, name).get_secret_value()


def test_a_secret_file_that_cannot_be_read_is_named_with_its_variable(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    variable = "REGISTRY_ROOT_TOKEN_FILE"
    assert f"{variable} names a file that cannot be read: No such file or directory" == refused(
        ROOT_TOKEN_FILE=str(tmp_path / "absent")
    )
    assert f"{variable} names a file that cannot be read: Is a directory" == refused(ROOT_TOKEN_FILE=str(tmp_path))
    assert f"{variable} names a file that holds no text" == refused(ROOT_TOKEN_FILE=str(binary))


@pytest.mark.parametrize("turned", [False, True])
def test_a_secret_given_twice_is_refused(tmp_path: Path, *, turned: bool) -> None:
    file = tmp_path / "secret"
    file.write_text("one")
    pairs = [("ROOT_TOKEN_FILE", str(file)), ("ROOT_TOKEN", "other")]
    text = refused(**dict(reversed(pairs) if turned else pairs))
    assert "REGISTRY_ROOT_TOKEN_FILE and REGISTRY_ROOT_TOKEN are both set: one is enough" == text


@pytest.mark.parametrize(
    ("environment", "base"),
    [
        ({"HOST": "::1", "PORT": "81"}, "http://[::1]:81"),
        ({"EXTERNAL_URL": "https://packages.example.com/"}, "https://packages.example.com"),
        ({"EXTERNAL_URL": "https://example.com:8443/registry//"}, "https://example.com:8443/registry"),
        ({"EXTERNAL_URL": "http://[2001:db8::1]:80"}, "http://[2001:db8::1]:80"),
    ],
)
def test_urls_in_documents_have_one_base_without_a_slash_at_its_end(environment: dict[str, str], base: str) -> None:
    assert base == given_settings(**environment).base_url


def test_proxies_are_networks_or_addresses() -> None:
    settings = given_settings(TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1,2001:db8::/32,")
    assert tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"))) == settings.proxies()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read({}).port = 1
