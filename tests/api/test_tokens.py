"""Personal access tokens through the management API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from registry.access import AccessLevel
from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NOT_SIGNED_IN, call, events, lacks_scope, made
from tests.people import People, Person

BASE = "/personal_access_tokens"
REVOKED = (
    401,
    {"error": "invalid_token", "error_description": "Token was revoked. You have to re-authorize from the user."},
)
NO_TOKEN = (404, {"message": "404 Personal Access Token Not Found"})
ALREADY_REVOKED = (400, {"message": "400 Bad request - Token already revoked"})


async def itself(person: Person) -> Any:
    status, token = await call(person, "GET", f"{BASE}/self")
    assert 200 == status, token
    return token


async def test_an_administrator_makes_a_token_of_a_user(people: People, services: Services) -> None:
    person = await people.user()
    token = await made(
        people.root, f"/users/{person.user_id}{BASE}", name="ci", scopes=["read_api", "api"], expires_at="2099-12-31"
    )
    text = token.pop("token")

    assert text.startswith("glpat-")
    assert {
        "id": token["id"],
        "name": "ci",
        "revoked": False,
        "created_at": token["created_at"],
        "description": "",
        "scopes": ["api", "read_api"],
        "user_id": person.user_id,
        "last_used_at": None,
        "active": True,
        "expires_at": "2099-12-31",
    } == token
    assert person.user_id == (await call(Person(people.client, text), "GET", "/user"))[1]["id"]
    assert token == await itself(Person(people.client, text))
    assert "personal_access_token_created" in await events(services)


async def test_a_token_that_cannot_be_is_refused(people: People) -> None:
    person = await people.user()
    path = f"/users/{person.user_id}{BASE}"
    valid = {"name": "ci", "scopes": ["api"]}

    for values, body in (
        ({}, {"error": "name is missing, scopes is missing"}),
        ({**valid, "scopes": ["everything"]}, {"error": "scopes does not have a valid value"}),
        ({**valid, "scopes": 5.5}, {"error": "scopes is invalid"}),
        ({**valid, "expires_at": "2099-02-30"}, {"error": "expires_at is invalid"}),
    ):
        assert (400, body) == await call(people.root, "POST", path, json=values)
    status, body = await call(people.root, "POST", path, json={**valid, "scopes": []})
    assert (400, ["scopes"]) == (status, list(body["message"]))
    assert MISSING_RIGHTS == await call(person, "POST", path, json=valid)
    assert NOT_SIGNED_IN == await call(people.anonymous, "POST", path, json=valid)
    absent = (404, {"message": "404 User Not Found"})
    assert absent == await call(people.root, "POST", f"/users/4711{BASE}", json=valid)
    form = {"name": "form", "scopes": "read_user,read_api"}
    assert ["read_api", "read_user"] == (await call(people.root, "POST", path, data=form))[1]["scopes"]


async def test_people_see_their_own_tokens_and_administrators_all(people: People) -> None:
    person, other = await people.user(), await people.user()
    own, foreign = await itself(person), await itself(other)

    assert (200, [own]) == await call(person, "GET", BASE)
    assert (200, [own]) == await call(person, "GET", f"{BASE}?user_id={person.user_id}")
    assert NOT_SIGNED_IN == await call(person, "GET", f"{BASE}?user_id={other.user_id}")
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", BASE)
    assert 3 == len((await call(people.root, "GET", BASE))[1])
    assert (200, [foreign]) == await call(people.root, "GET", f"{BASE}?user_id={other.user_id}")
    assert (200, own) == await call(person, "GET", f"{BASE}/{own['id']}")


async def test_a_foreign_token_and_an_absent_one_are_told_alike(people: People) -> None:
    person, other = await people.user(), await people.user()
    foreign = (await itself(other))["id"]

    for token_id in (foreign, 4711, "99999999999999999999"):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            assert NOT_SIGNED_IN == await call(person, method, f"{BASE}/{token_id}{path}")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        assert NO_TOKEN == await call(people.root, method, f"{BASE}/4711{path}")
    assert (400, {"error": "id is invalid"}) == await call(person, "GET", f"{BASE}/x")
    assert 200 == (await call(other, "GET", "/user"))[0]


async def test_tokens_are_filtered_and_ordered(people: People) -> None:
    person = await people.user()
    path = f"/users/{person.user_id}{BASE}"
    today = datetime.now(UTC).date()
    for name, days in (("beta", 10), ("alpha", None), ("gone", -1)):
        expires = None if days is None else str(today + timedelta(days=days))
        await made(people.root, path, name=name, scopes=["api"], expires_at=expires)
    revoked = await made(people.root, path, name="revoked", scopes=["api"])
    await call(people.root, "DELETE", f"{BASE}/{revoked['id']}")

    async def names(query: str) -> list[str]:
        status, found = await call(person, "GET", f"{BASE}?{query}")
        assert 200 == status, found
        return [one["name"] for one in found]

    assert ["test", "beta", "alpha", "gone", "revoked"] == await names("")
    assert ["test", "beta", "alpha"] == await names("state=active")
    assert ["gone", "revoked"] == await names("state=inactive")
    assert ["revoked"] == await names("revoked=true")
    assert ["beta"] == await names("search=BET")
    assert ["alpha", "beta", "gone", "revoked", "test"] == await names("sort=name_asc")
    assert ["revoked", "gone", "alpha", "beta", "test"] == await names("sort=created_desc")
    assert ["gone", "beta"] == (await names("sort=expires_at_asc_id_desc"))[:2]
    assert ["beta"] == await names(f"expires_after={today}")
    assert ["gone"] == await names(f"expires_before={today}")
    assert [] == await names("created_before=2020-01-01")
    assert 5 == len(await names("created_after=2020-01-01T00:00:00Z"))
    assert [] == await names("last_used_after=2020-01-01")
    assert (400, {"error": "state does not have a valid value"}) == await call(person, "GET", f"{BASE}?state=odd")


async def test_revoking_ends_a_token_at_once_and_for_good(people: People, services: Services) -> None:
    person = await people.user()
    token = await itself(person)

    assert (204, None) == await call(people.root, "DELETE", f"{BASE}/{token['id']}")
    assert REVOKED == await call(person, "GET", "/user")
    assert (204, None) == await call(people.root, "DELETE", f"{BASE}/{token['id']}")
    status, seen = await call(people.root, "GET", f"{BASE}/{token['id']}")
    assert (200, True, False) == (status, seen["revoked"], seen["active"])
    assert 1 == (await events(services)).count("personal_access_token_revoked")


async def test_a_token_of_any_scope_may_look_at_and_revoke_itself(people: People) -> None:
    for scope in ("read_user", "read_api", "read_registry"):
        person = await people.user(scopes=(scope,))
        assert [scope] == (await itself(person))["scopes"]
        assert lacks_scope() == await call(person, "POST", f"{BASE}/self/rotate")
        assert (204, None) == await call(person, "DELETE", f"{BASE}/self")
        assert REVOKED == await call(person, "GET", f"{BASE}/self")
    deploy = await people.deploy_token(await people.project())
    assert NOT_SIGNED_IN == await call(deploy, "GET", f"{BASE}/self")
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", f"{BASE}/self")


async def test_rotation_replaces_a_token(people: People, services: Services) -> None:
    person = await people.user()
    old = await itself(person)

    status, new = await call(person, "POST", f"{BASE}/self/rotate")
    text = new.pop("token")
    assert (200, old["name"], old["scopes"], None) == (status, new["name"], new["scopes"], new["expires_at"])
    assert old["id"] != new["id"]
    assert REVOKED == await call(person, "GET", "/user")
    successor = Person(people.client, text)
    assert new == await itself(successor)

    status, newer = await call(successor, "POST", f"{BASE}/{new['id']}/rotate", json={"expires_at": "2099-01-01"})
    assert (200, "2099-01-01") == (status, newer["expires_at"])
    assert "personal_access_token_rotated" == (await events(services))[-1]


async def test_a_rotated_token_lives_a_week_or_as_long_as_before(people: People) -> None:
    person = await people.user()
    today = datetime.now(UTC).date()
    path = f"/users/{person.user_id}{BASE}"
    ends = str(today + timedelta(days=30))

    token = await made(people.root, path, name="ci", scopes=["api"], expires_at=ends)
    token = (await call(people.root, "POST", f"{BASE}/{token['id']}/rotate?keep_token_lifetime=true"))[1]
    assert ends == token["expires_at"]
    token = (await call(people.root, "POST", f"{BASE}/{token['id']}/rotate"))[1]
    assert str(today + timedelta(days=7)) == token["expires_at"]


async def test_rotating_a_revoked_token_revokes_its_whole_family(people: People, services: Services) -> None:
    person = await people.user()
    first = await itself(person)
    unrelated = await made(people.root, f"/users/{person.user_id}{BASE}", name="other", scopes=["api"])
    second = (await call(person, "POST", f"{BASE}/self/rotate"))[1]
    third = (await call(Person(people.client, second["token"]), "POST", f"{BASE}/self/rotate"))[1]

    # Somebody holds a token that was replaced long ago.
    assert ALREADY_REVOKED == await call(people.root, "POST", f"{BASE}/{first['id']}/rotate")
    assert REVOKED == await call(Person(people.client, third["token"]), "GET", "/user")
    assert 200 == (await call(Person(people.client, unrelated["token"]), "GET", "/user"))[0]
    assert "personal_access_token_family_revoked" == (await events(services))[-1]


async def test_associations_are_what_the_token_reaches(people: People) -> None:
    group = await people.group("acme")
    await people.project(group, "tool")
    await people.project(visibility="public")
    person = await people.member(group, AccessLevel.REPORTER, scopes=("read_user",))

    async def reached(query: str = "") -> tuple[list[str], list[str]]:
        status, body = await call(person, "GET", f"{BASE}/self/associations{query}")
        assert 200 == status, body
        return [g["full_path"] for g in body["groups"]], [p["path_with_namespace"] for p in body["projects"]]

    username = (await call(person, "GET", "/user"))[1]["username"]
    assert username
    assert (["acme"], ["acme/tool"]) == await reached()
    assert ([], []) == await reached("?min_access_level=30")


async def test_no_token_text_is_kept_or_shown_again(people: People, services: Services) -> None:
    project = await people.project()
    person = await people.user()
    texts = [
        (await made(people.root, f"/users/{person.user_id}{BASE}", name="a", scopes=["api"]))["token"],
        (await made(people.root, f"/projects/{project.id}/access_tokens", name="a", scopes=["api"]))["token"],
        (await made(people.root, f"/projects/{project.id}/deploy_tokens", name="a", scopes=["read_package_registry"]))[
            "token"
        ],
    ]
    shown = ""
    for path in (BASE, f"/projects/{project.id}/access_tokens", "/deploy_tokens"):
        shown += str((await call(people.root, "GET", path))[1])
    for table in ("audit_events", "changes", "personal_access_tokens", "deploy_tokens", "users"):
        shown += str(await services.db.fetch(f"SELECT t::text FROM {table} AS t"))
    assert [] == [text for text in texts if text in shown]
