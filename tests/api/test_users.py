"""Users through the management API."""

from __future__ import annotations

from registry.services import Services
from tests.api.asking import MISSING_RIGHTS, NOT_SIGNED_IN, call, events, lacks_scope, made
from tests.people import People

ADA = {"username": "ada", "name": "Ada Lovelace", "email": "ada@example.com"}


async def test_an_administrator_makes_a_user(people: People, services: Services) -> None:
    user = await made(people.root, "/users", **ADA, password="ignored", skip_confirmation=True)

    base = services.settings.base_url
    assert {
        "id": user["id"],
        "username": "ada",
        "public_email": None,
        "name": "Ada Lovelace",
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{base}/ada",
        "created_at": user["created_at"],
        "bot": False,
        "email": "ada@example.com",
        "commit_email": "ada@example.com",
        "namespace_id": user["namespace_id"],
        "external": False,
        "private_profile": False,
        "two_factor_enabled": False,
        "can_create_group": True,
        "can_create_project": True,
        "confirmed_at": user["created_at"],
        "is_admin": False,
    } == user
    assert "user_created" in await events(services)


async def test_nobody_else_makes_users(people: People) -> None:
    person = await people.user()

    assert MISSING_RIGHTS == await call(person, "POST", "/users", json=ADA)
    assert NOT_SIGNED_IN == await call(people.anonymous, "POST", "/users", json=ADA)
    reader = await people.user(scopes=("read_api",), admin=True)
    assert lacks_scope() == await call(reader, "POST", "/users", json=ADA)


REFUSED_A_USER = [
    ({}, 400, {"error": "email is missing, name is missing, username is missing"}),
    ({**ADA, "name": ""}, 400, {"error": "name is empty"}),
    ({**ADA, "admin": "perhaps"}, 400, {"error": "admin is invalid"}),
    ({**ADA, "email": "nowhere"}, 400, {"message": {"email": ["is invalid"]}}),
    ({**ADA, "username": "ROOT"}, 409, {"message": "Username has already been taken"}),
    ({**ADA, "email": "ROOT@localhost"}, 409, {"message": "Email has already been taken"}),
]


async def test_a_user_that_cannot_be_is_refused(people: People) -> None:
    for values, status, body in REFUSED_A_USER:
        assert (status, body) == await call(people.root, "POST", "/users", json=values)


async def test_a_user_name_is_taken_by_a_group_of_that_name(people: People) -> None:
    await people.group("ada")
    taken = (409, {"message": "Username has already been taken"})
    assert taken == await call(people.root, "POST", "/users", json=ADA)


async def test_a_body_may_be_a_form(people: People) -> None:
    status, user = await call(people.root, "POST", "/users", data={**ADA, "admin": "true"})
    assert (201, True) == (status, user["is_admin"])


async def test_people_see_themselves(people: People) -> None:
    person = await people.user()
    status, user = await call(person, "GET", "/user")

    assert (200, person.user_id) == (status, user["id"])
    assert "email" in user
    assert "is_admin" not in user
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", "/user")


async def test_read_user_opens_users_and_nothing_else(people: People) -> None:
    person = await people.user(scopes=("read_user",))

    assert 200 == (await call(person, "GET", "/user"))[0]
    assert 200 == (await call(person, "GET", "/users"))[0]
    assert lacks_scope() == await call(person, "GET", "/projects")
    assert lacks_scope() == await call(person, "GET", "/personal_access_tokens")


async def test_addresses_are_for_administrators(people: People) -> None:
    person, other = await people.user(), await people.user()
    status, seen = await call(person, "GET", f"/users/{other.user_id}")

    assert 200 == status
    assert {"id", "username", "public_email", "name", "state", "locked", "avatar_url", "web_url", "created_at",
            "bot"} == set(seen)  # fmt: skip
    assert "email" in (await call(people.root, "GET", f"/users/{other.user_id}"))[1]


async def test_unknown_users_are_404(people: People) -> None:
    absent = (404, {"message": "404 User Not Found"})
    for user_id in ("4711", "99999999999999999999999999"):
        assert absent == await call(people.root, "GET", f"/users/{user_id}")
        assert absent == await call(people.root, "POST", f"/users/{user_id}/block")
    assert (400, {"error": "id is invalid"}) == await call(people.root, "GET", "/users/ada")


async def test_users_are_found(people: People) -> None:
    ada = await made(people.root, "/users", **ADA)
    bob = await made(people.root, "/users", username="bob", name="Bob", email="bob@example.com", admin=True)
    await call(people.root, "POST", f"/users/{ada['id']}/block")

    async def found(query: str, person: object = people.root) -> list[str]:
        status, users = await call(person, "GET", f"/users?{query}")  # type: ignore[arg-type]
        assert 200 == status, users
        return [user["username"] for user in users]

    assert ["bob", "ada", "root"] == await found("")
    assert ["ada"] == await found("username=ADA")
    assert ["ada"] == await found("search=lovelace")
    assert ["ada"] == await found("blocked=true")
    assert ["bob", "root"] == await found("active=true")
    assert ["bob", "root"] == await found("admins=true")
    assert ["ada", "bob"] == await found("search=example.com&order_by=username&sort=asc")
    assert ["bob"] == await found(f"id_after={bob['id'] - 1}")

    person = await people.user()
    assert [] == await found("search=example.com", person)
    assert ["ada"] == await found("search=ada&order_by=name&sort=asc", person)
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", "/users?username=ada")


async def test_blocking_ends_every_token_at_once(people: People, services: Services) -> None:
    person = await people.user()
    assert (201, True) == await call(people.root, "POST", f"/users/{person.user_id}/block")

    status, body = await call(person, "GET", "/user")
    assert (403, {"message": "403 Forbidden - Your account has been blocked."}) == (status, body)

    assert (201, True) == await call(people.root, "POST", f"/users/{person.user_id}/unblock")
    assert 200 == (await call(person, "GET", "/user"))[0]
    assert ["user_blocked", "user_active"] == (await events(services))[-2:]


async def test_blocking_is_for_administrators_and_not_for_oneself(people: People) -> None:
    person, other = await people.user(), await people.user()
    assert MISSING_RIGHTS == await call(person, "POST", f"/users/{other.user_id}/block")
    me = (await call(people.root, "GET", "/user"))[1]["id"]
    refused = (403, {"message": "403 Forbidden - The API initiating user cannot be blocked by the API"})
    assert refused == await call(people.root, "POST", f"/users/{me}/block")


async def test_the_version_is_for_people(people: People) -> None:
    person = await people.user(scopes=("read_user",))
    status, version = await call(person, "GET", "/version")
    assert (200, {"version", "revision"}) == (status, set(version))
    status, metadata = await call(person, "GET", "/metadata")
    assert (200, False) == (status, metadata["enterprise"])
    assert NOT_SIGNED_IN == await call(people.anonymous, "GET", "/version")
