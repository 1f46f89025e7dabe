from __future__ import annotations

import pytest
from aiohttp.test_utils import TestServer
from yarl import URL

from registry import accounts, sign_in
from registry.access import AccessLevel
from registry.errors import TooBusy
from registry.model import Project
from registry.server.limits import site, subscriber
from registry.services import Services
from tests.formats.npm.pages import confirm_sign_in, open_page, send_form
from tests.formats.npm.transcripts import path, refused, username
from tests.people import OPERATOR, People, Person
from tests.server.wire import wired


async def begin(people: People, **headers: str) -> tuple[str, str]:
    """What `npm login` asks first: the addresses for the browser and for itself."""
    answer = await people.anonymous.ask("POST", path(None, "-/v1/login"), json={}, headers=headers)
    assert 200 == answer.status, await answer.text()
    urls = await answer.json()
    return urls["loginUrl"], urls["doneUrl"]


async def poll(people: People, url: str) -> tuple[int, str | None]:
    answer = await people.anonymous.get(URL(url).path)
    return answer.status, (await answer.json()).get("token")


async def sign_in_by_name(people: People, name: str, password: str) -> tuple[int, str]:
    document = {"_id": f"org.couchdb.user:{name}", "name": name, "password": password, "type": "user", "roles": []}
    answer = await people.anonymous.ask("PUT", path(None, f"-/user/org.couchdb.user:{name}"), json=document)
    body = await answer.json()
    return answer.status, body.get("token") or body["error"]


async def signed_in(people: People, person: Person) -> Person:
    login, done = await begin(people)
    await confirm_sign_in(people, login, person)
    status, token = await poll(people, done)
    assert (200, True) == (status, token is not None)
    return Person(people.client, token, person.user_id)


async def test_a_client_waits_until_the_user_confirms_and_gets_its_token_once(people: People) -> None:
    person = await people.user()
    login, done = await begin(people, Authorization="Bearer glpat-stale")

    waiting = await people.anonymous.get(URL(done).path)
    assert (202, "1", {}) == (waiting.status, waiting.headers["Retry-After"], await waiting.json())
    await confirm_sign_in(people, login, person)
    status, token = await poll(people, done)

    assert (200, 404) == (status, (await poll(people, done))[0])
    assert await username(person) == await username(Person(people.client, token))
    # Neither address leads anywhere any more.
    assert 404 == (await people.anonymous.get(URL(login).path)).status
    assert 0 == await people.services.db.fetchval("SELECT count(*) FROM sign_ins")


async def test_the_page_runs_nothing_loads_nothing_and_cannot_be_framed(people: People) -> None:
    login, _ = await begin(people)
    page = await people.anonymous.get(URL(login).path)
    policy = page.headers["Content-Security-Policy"]

    assert ("default-src 'none'", True) == (policy.split(";")[0], "frame-ancestors 'none'" in policy)
    assert ("form-action 'self'", False) == (policy.split("; ")[-2], "script" in policy)
    assert ("no-store", "no-referrer") == (page.headers["Cache-Control"], page.headers["Referrer-Policy"])
    cookie = page.cookies["registry_sign_in"]
    assert ("Strict", True, URL(login).path) == (cookie["samesite"], cookie["httponly"], cookie["path"])
    assert "127.0.0.1" in await page.text()


async def test_a_form_that_is_not_of_the_page_is_refused(people: People) -> None:
    person = await people.user()
    token = person.token or ""
    login, done = await begin(people)
    guard = await open_page(people, login)

    without_cookie = await begin(people)
    for url, fields, headers, status in (
        (login, {"guard": "another", "token": token}, {}, 403),
        (login, {"token": token}, {}, 400),
        (login, {"guard": guard}, {}, 400),
        (login, {"guard": guard, "token": token}, {"Sec-Fetch-Site": "cross-site"}, 403),
        (without_cookie[0], {"guard": guard, "token": token}, {}, 403),
    ):
        answer = await people.anonymous.ask("POST", URL(url).path, data=fields, headers=headers)
        assert (status, "text/html") == (answer.status, answer.content_type), fields
    json = await people.anonymous.ask("POST", URL(login).path, json={"guard": guard, "token": token})
    assert 400 == json.status
    assert (202, None) == await poll(people, done)


async def test_a_cookie_of_bytes_that_are_no_text_is_refused(people: People, server: TestServer) -> None:
    login, _ = await begin(people)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "registry_sign_in=\xff"}

    async with wired(server) as wire:
        answer = await wire.ask("POST", URL(login).path, form, b"guard=any&token=glpat-any")

    assert 403 == answer.status


async def test_who_is_no_person_with_a_good_token_lets_nobody_in(people: People, project: Project) -> None:
    deploy = (await people.deploy_token(project)).headers["Deploy-Token"]
    gone = await people.user()
    await gone.ask("DELETE", "/api/v4/personal_access_tokens/self")
    login, done = await begin(people)
    guard = await open_page(people, login)

    for shown in ("glpat-unknown", deploy, gone.token or ""):
        answer = await send_form(people, login, guard=guard, token=shown)
        assert (401, "text/html") == (answer.status, answer.content_type)
        assert shown not in await answer.text()
    assert (202, None) == await poll(people, done)


async def test_guesses_on_the_page_are_counted_like_others(people: People) -> None:
    login, _ = await begin(people)
    guard = await open_page(people, login)
    most = people.services.settings.failed_sign_ins

    statuses = [(await send_form(people, login, guard=guard, token=f"glpat-{n}")).status for n in range(most + 1)]

    assert [401] * most + [429] == statuses


async def test_a_sign_in_is_over_after_a_while(people: People) -> None:
    login, done = await begin(people)
    await people.services.db.execute("UPDATE sign_ins SET created_at = now() - $1::interval", sign_in.LIFETIME)

    assert 404 == (await people.anonymous.get(URL(login).path)).status
    assert (404, None) == await poll(people, done)
    await begin(people)
    assert 1 == await people.services.db.fetchval("SELECT count(*) FROM sign_ins")


async def test_sign_ins_under_way_are_bounded_by_address(people: People) -> None:
    for _ in range(sign_in.MOST_HERE):
        await begin(people)

    answer = await people.anonymous.ask("POST", path(None, "-/v1/login"), json={})

    assert (429, "60") == (answer.status, answer.headers["Retry-After"])


async def test_the_networks_of_one_site_are_counted_together(services: Services) -> None:
    async def begin(number: int) -> None:
        address = f"2001:db8:7:{number:x}::1"
        await sign_in.begin(services.db, subscriber(address), site(address))

    for number in range(sign_in.MOST_AROUND):
        await begin(number)

    with pytest.raises(TooBusy):
        await begin(sign_in.MOST_AROUND)
    await sign_in.begin(services.db, subscriber("2001:db8:8::1"), site("2001:db8:8::1"))


async def test_no_secret_of_a_sign_in_is_stored(people: People) -> None:
    person = await people.user()
    login, done = await begin(people)
    await confirm_sign_in(people, login, person)

    rows = await people.services.db.fetch("SELECT s::text AS row FROM sign_ins AS s")
    secrets = (login.rpartition("/")[2], done.split("/")[-2], person.token or "")
    assert [False] * 3 == [secret in rows[0]["row"] for secret in secrets]


async def test_a_token_made_by_signing_in_has_the_rights_of_the_one_shown_and_ends_with_it(
    people: People, project: Project
) -> None:
    reader = await people.member(project, AccessLevel.MAINTAINER, scopes=("read_api",))
    child = await signed_in(people, reader)
    grandchild = await signed_in(people, child)

    assert 403 == (await child.ask("PUT", path(project, "-/package/widget/dist-tags/x"), json="1.0.0")).status
    assert 200 == (await grandchild.get(path(project, "-/whoami"))).status
    token_id = (await (await reader.get("/api/v4/personal_access_tokens/self")).json())["id"]
    await people.root.ask("DELETE", f"/api/v4/personal_access_tokens/{token_id}")

    assert [401] * 3 == [(await one.get(path(project, "-/whoami"))).status for one in (reader, child, grandchild)]


async def test_rotating_a_token_ends_what_was_made_with_it(people: People, project: Project) -> None:
    person = await people.member(project, AccessLevel.GUEST)
    child = await signed_in(people, person)

    rotated = await person.ask("POST", "/api/v4/personal_access_tokens/self/rotate")

    new = Person(people.client, (await rotated.json())["token"])
    assert (401, 200) == tuple([(await one.get(path(project, "-/whoami"))).status for one in (child, new)])


async def test_a_token_that_ends_while_its_client_waits_lets_nobody_in(people: People) -> None:
    person = await people.user()
    login, done = await begin(people)
    await confirm_sign_in(people, login, person)
    await person.ask("DELETE", "/api/v4/personal_access_tokens/self")

    assert (401, None) == await poll(people, done)


async def test_a_name_and_a_token_sign_in(people: People) -> None:
    person, other = await people.user(), await people.user()
    name, token = await username(person), person.token or ""

    status, made = await sign_in_by_name(people, name, token)
    assert (201, name) == (status, await username(Person(people.client, made)))
    for user, password, refusal in (
        (name, "glpat-unknown", 401),
        (await username(other), token, 401),
        (name, "", 400),
    ):
        assert refusal == (await sign_in_by_name(people, user, password))[0]
    answer = await people.anonymous.ask("PUT", path(None, "-/user/ada"), json={"name": "ada", "password": token})
    assert 404 == answer.status


async def test_a_bot_makes_no_tokens(people: People, project: Project) -> None:
    owner = await people.member(project, AccessLevel.OWNER)
    made = await owner.ask(
        "POST", f"/api/v4/projects/{project.id}/access_tokens", json={"name": "bot", "scopes": ["api"]}
    )
    bot = Person(people.client, (await made.json())["token"])

    status, text = await sign_in_by_name(people, await username(bot), bot.token or "")

    assert (403, "403 Forbidden - Only people make tokens with theirs, bots do not.") == (status, text)


async def test_logout_revokes_the_callers_own_and_only_what_was_made_by_signing_in(people: People) -> None:
    person, other = await people.user(), await people.user()
    child = await signed_in(people, person)

    async def logout(by: Person, token: str | None) -> int:
        return (await by.ask("DELETE", path(None, f"-/user/token/{token}"))).status

    assert [404, 403, 401, 200, 401] == [
        await logout(other, child.token),
        await logout(person, person.token),
        await logout(people.anonymous, child.token),
        await logout(child, child.token),
        await logout(child, child.token),
    ]
    assert await username(person)


async def test_signing_in_and_out_is_audited(people: People) -> None:
    person = await people.user()
    child = await signed_in(people, person)
    await child.ask("DELETE", path(None, f"-/user/token/{child.token}"))

    rows = await people.services.db.fetch(
        "SELECT event_name, author_id, details FROM audit_events"
        " WHERE event_name LIKE '%token%' ORDER BY id DESC LIMIT 2"
    )
    assert ["personal_access_token_revoked", "personal_access_token_created"] == [row["event_name"] for row in rows]
    assert {person.user_id} == {row["author_id"] for row in rows}
    assert not any("glpat" in str(row["details"]) for row in rows)


async def test_a_blocked_user_is_refused(people: People) -> None:
    person = await people.user()
    assert person.user_id is not None
    await accounts.set_user_state(people.services.db, OPERATOR, person.user_id, "blocked")

    assert 403 == (await sign_in_by_name(people, "someone", person.token or ""))[0]


async def test_who_may_be_added_as_owner_is_shown_without_an_address(people: People) -> None:
    person = await people.user()
    name = await username(person)

    answer = await people.root.get(path(None, f"-/user/org.couchdb.user:{name}"))
    assert {"_id": f"org.couchdb.user:{name}", "name": name, "email": ""} == await answer.json()
    assert (404, "User not found") == await refused(await people.root.get(path(None, "-/user/org.couchdb.user:nobody")))
    anonymous = await people.anonymous.get(path(None, f"-/user/org.couchdb.user:{name}"))
    assert 401 == anonymous.status
