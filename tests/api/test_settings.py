"""Settings of the instance through the management API."""

from __future__ import annotations

from registry.server import limits
from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NOT_SIGNED_IN, call, events, lacks_scope
from tests.people import People

SETTINGS = "/application/settings"
LIMITS = "/application/plan_limits"
DEFAULTS = {
    "npm_package_requests_forwarding": True,
    "pypi_package_requests_forwarding": True,
    "lock_npm_package_requests_forwarding": False,
    "lock_pypi_package_requests_forwarding": False,
    "pypi_validation": "basic",
    "npm_validation": "default",
    "immutable_file_names": False,
    "attestation_identities": [],
    "package_stages_required": False,
    "package_stages_four_eyes": False,
    "package_stage_days": 7,
    "package_registry_allow_anyone_to_pull_option": True,
    "pypi_namespaces": False,
    **limits.DEFAULTS,
}


async def test_an_administrator_changes_the_settings(people: People, services: Services) -> None:
    assert (200, DEFAULTS) == await call(people.root, "GET", SETTINGS)
    changed = {**DEFAULTS, "pypi_package_requests_forwarding": False, "pypi_validation": "strict"}
    form = {"pypi_package_requests_forwarding": "false", "pypi_validation": "strict", "signup_enabled": "false"}

    assert (200, changed) == await call(people.root, "PUT", SETTINGS, data=form)
    assert (200, changed) == await call(people.root, "GET", SETTINGS)
    assert "application_settings_updated" == (await events(services))[-1]
    back = {"pypi_package_requests_forwarding": None, "pypi_validation": None}
    assert (200, DEFAULTS) == await call(people.root, "PUT", SETTINGS, json=back)


async def test_a_locked_setting_of_the_instance_binds_every_group(people: People) -> None:
    group = await people.group("acme")
    name = "pypi_package_requests_forwarding"
    await call(people.root, "PUT", f"/groups/{group.id}", json={name: True})
    await call(people.root, "PUT", SETTINGS, json={name: False, f"lock_{name}": True})

    status, seen = await call(people.root, "GET", f"/groups/{group.id}")
    assert (200, False, True) == (status, seen[name], seen[f"lock_{name}"])
    locked = ["cannot be changed because it is locked by an ancestor"]
    for field, value in ((name, True), (f"lock_{name}", False)):
        refusal = (400, {"message": {field: locked}})
        assert refusal == await call(people.root, "PUT", f"/groups/{group.id}", json={field: value})


async def test_an_administrator_changes_the_limits(people: People) -> None:
    defaults = {"npm_max_file_size": 524288000, "pypi_max_file_size": 3221225472}
    assert (200, defaults) == await call(people.root, "GET", f"{LIMITS}?plan_name=default")

    changed = {**defaults, "pypi_max_file_size": 5}
    values = {"plan_name": "default", "pypi_max_file_size": 5}
    assert (200, changed) == await call(people.root, "PUT", LIMITS, json=values)
    assert (200, changed) == await call(people.root, "GET", LIMITS)
    project = await people.project()
    upload = await people.root.upload(project, "a-1.0.tar.gz", b"123456", name="a", version="1.0")
    assert 400 <= upload.status < 500
    assert "too large" in await upload.text()
    null = {"plan_name": "default", "pypi_max_file_size": None}
    assert (200, defaults) == await call(people.root, "PUT", LIMITS, json=null)


async def test_values_that_cannot_be_are_refused(people: People) -> None:
    for path, values, error in (
        (SETTINGS, {"pypi_validation": "lax"}, "pypi_validation does not have a valid value"),
        (SETTINGS, {"immutable_file_names": "maybe"}, "immutable_file_names is invalid"),
        (LIMITS, {}, "plan_name is missing"),
        (LIMITS, {"plan_name": "gold"}, "plan_name does not have a valid value"),
        (LIMITS, {"plan_name": "default", "npm_max_file_size": 0}, "npm_max_file_size does not have a valid value"),
        (LIMITS, {"plan_name": "default", "npm_max_file_size": "1 GB"}, "npm_max_file_size is invalid"),
    ):
        assert (400, {"error": error}) == await call(people.root, "PUT", path, json=values)
    assert (200, DEFAULTS) == await call(people.root, "GET", SETTINGS)


async def test_settings_are_for_administrators(people: People) -> None:
    person = await people.user()
    reader = await people.user(admin=True, scopes=("read_api",))
    for path in (SETTINGS, LIMITS):
        for method in ("GET", "PUT"):
            assert MISSING_RIGHTS == await call(person, method, path)
            assert NOT_SIGNED_IN == await call(people.anonymous, method, path)
        assert 200 == (await call(reader, "GET", path))[0]
        assert lacks_scope() == await call(reader, "PUT", path)
