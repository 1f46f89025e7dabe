"""`npm token`: what is made, what its limits keep out, and who sees and revokes it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from registry.access import AccessLevel
from registry.derived_tokens import Wanted
from registry.errors import Invalid, RegistryError
from registry.formats.npm import tokens
from registry.model import Group, Project
from registry.settings import Settings
from tests.formats.npm.transcripts import a_publication, path, publish, refused, send, set_settings, username
from tests.people import People, Person

TODAY = date(2026, 1, 1)
URL = path(None, "-/npm/v1/tokens")
HERE, ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "198.51.100.7"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A client may say that it speaks for another address."""
    return settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"})


async def make(person: Person, **document: Any) -> dict[str, Any]:
    """`npm token create`: what it answers."""
    answer = await person.ask("POST", URL, json={"password": "none", **document})
    assert 201 == answer.status, await answer.text()
    made: dict[str, Any] = await answer.json()
    return made


async def holder(person: Person, **document: Any) -> Person:
    return Person(person.client, (await make(person, **document))["token"])


async def statuses(person: Person, project: Project, *rests: str) -> list[int]:
    return [(await person.get(path(project, rest))).status for rest in rests]


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({}, Wanted("npm token", scopes=(tokens.WRITE,))),
        ({"readonly": True, "cidr_whitelist": None}, Wanted("npm token", scopes=(tokens.READ,))),
        (
            {"name": "ci", "description": "for builds", "packages_and_scopes_permission": "read-only", "expires": 7,
             "packages": ["gadget", "gadget", "@acme/widget"], "scopes": ["@tools", "more"],
             "cidr_whitelist": ["192.0.2.7/24", "2001:db8::1"], "orgs_permission": "no-access", "orgs": []},
            Wanted("ci", "for builds", (tokens.READ,), date(2026, 1, 8), ("192.0.2.0/24", "2001:db8::1/128"),
                   ("npm:gadget", "npm:@acme/widget", "npm:@tools/*", "npm:@more/*")),
        ),
        ({"packages_all": True, "packages": ["gadget"]}, Wanted("npm token", scopes=(tokens.WRITE,))),
    ],
)  # fmt: skip
def test_what_clients_ask_for_is_read(document: dict[str, Any], wanted: Wanted) -> None:
    assert wanted == tokens.parse(document, TODAY)


@pytest.mark.parametrize(
    "document",
    [
        {"packages_and_scopes_permission": "no-access"},
        {"packages_and_scopes_permission": "everything"},
        {"orgs": ["acme"]},
        {"orgs_permission": "read-write"},
        {"expires": 0},
        {"expires": 10**9},
        {"expires": True},
        {"expires": "7"},
        {"cidr_whitelist": ["192.0.2.0/33"]},
        {"cidr_whitelist": ["here"]},
        {"cidr_whitelist": "192.0.2.0/24"},
        {"packages": ["../gadget"]},
        {"packages": [7]},
        {"scopes": ["@acme/widget"]},
        {"scopes": ["*"]},
        {"bypass_2fa": True, "packages": [""]},
    ],
)
async def test_what_is_not_offered_is_refused(people: People, document: dict[str, Any]) -> None:
    with pytest.raises(RegistryError):
        tokens.parse(document, TODAY)
    person = await people.user()
    assert 400 == (await refused(await person.ask("POST", URL, json=document)))[0]
    assert 1 == (await (await person.get(URL)).json())["total"]


def test_a_list_of_too_many_pages_is_refused() -> None:
    with pytest.raises(Invalid):
        tokens._number("-1", 0)


async def test_a_token_is_shown_once_and_masked_afterwards(people: People) -> None:
    person = await people.user()
    made = await make(person, name="ci", readonly=True, cidr_whitelist=["192.0.2.0/24"], expires=7)

    listed = await (await person.get(URL)).json()

    text = made.pop("token")
    assert text.startswith("glpat-")
    assert {
        "id": made["key"][:12],
        "key": made["key"],
        "token": "glpat-...",
        "name": "ci",
        "readonly": True,
        "cidr_whitelist": ["192.0.2.0/24"],
        "packages": [],
        "scopes": [],
        "created": made["created"],
        "updated": made["created"],
        "expires": (datetime.now(UTC).date() + timedelta(days=7)).isoformat(),
    } == listed["objects"][0]
    assert ({**made, "token": "glpat-..."}, "test", 2, {}) == (
        listed["objects"][0],
        listed["objects"][1]["name"],
        listed["total"],
        listed["urls"],
    )
    assert text not in str(listed)


async def test_lists_have_pages(people: People) -> None:
    person = await people.user()
    for number in range(4):
        await make(person, name=f"t{number}")

    names, url = [], f"{URL}?perPage=2"
    while url:
        page = await (await person.get(url)).json()
        assert 5 == page["total"]
        names.append([one["name"] for one in page["objects"]])
        url = page["urls"].get("next", "").removeprefix(people.services.settings.base_url)

    assert [["t3", "t2"], ["t1", "t0"], ["test"]] == names
    assert 400 == (await refused(await person.get(f"{URL}?page=-1")))[0]


async def test_a_read_only_token_changes_nothing(people: People, project: Project, maintainer: Person) -> None:
    await publish(people.root, project, "gadget", "1.0.0")
    reader, writer = await holder(maintainer, readonly=True), await holder(maintainer)

    for person, expected in ((reader, 403), (writer, 200)):
        assert [200, 200] == await statuses(person, project, "gadget", "-/whoami")
        assert expected == (await send(person, project, a_publication("gadget", "2.0.0"))).status
    # Nor does one that may write packages reach anything else.
    for method, url in (
        ("POST", URL),
        ("GET", URL),
        ("GET", "/api/v4/user"),
        ("POST", f"/api/v4/projects/{project.id}/members"),
        ("POST", "/api/v4/personal_access_tokens/self/rotate"),
    ):
        assert [403, 403] == [(await person.ask(method, url, json={})).status for person in (reader, writer)], url
    rev = (await (await maintainer.get(path(project, "gadget"))).json())["_rev"]
    owners = {"_rev": rev, "maintainers": [{"name": await username(await people.user()), "email": ""}]}
    assert 403 == (await writer.ask("PUT", path(project, f"gadget/-rev/{rev}"), json=owners)).status
    assert "" == (await (await writer.get(path(None, "-/npm/v1/user"))).json())["email"]


async def test_a_token_for_some_packages_opens_nothing_else(
    people: People, group: Group, project: Project, maintainer: Person
) -> None:
    hidden = await people.project(group)
    member = await people.member(hidden, AccessLevel.OWNER)
    for name in ("gadget", "@acme/widget", "@acme/other"):
        await publish(people.root, hidden, name, "1.0.0")
    limited = await holder(member, packages=["gadget"], scopes=["acme"])
    one = await holder(member, packages=["@acme/widget"])

    names = ("gadget", "@acme%2fwidget", "@acme/other", "gadget/1.0.0", "gadget/-/gadget-1.0.0.tgz")
    assert [200, 200, 200, 200, 200] == await statuses(limited, hidden, *names)
    assert [403, 200, 403, 403, 403] == await statuses(one, hidden, *names)
    assert (403, "403 Forbidden - This token is for @acme/widget only.") == await refused(
        await one.get(path(hidden, "gadget"))
    )
    assert 200 == (await send(one, hidden, a_publication("@acme/widget", "2.0.0"))).status
    assert 403 == (await send(one, hidden, a_publication("@acme/other", "2.0.0"))).status
    # Not the document decides, but the address; they have to agree.
    document = a_publication("@acme/other", "3.0.0")
    assert 400 == (await one.ask("PUT", path(hidden, "@acme%2fwidget"), json=document)).status
    for url in (path(hidden, "-/v1/search?text=gadget"), f"/api/v4/projects/{hidden.id}/packages",
                f"/api/v4/projects/{hidden.id}/packages/pypi/simple/gadget"):  # fmt: skip
        assert 403 == (await one.get(url)).status, url
    assert [200, 200] == await statuses(one, hidden, "-/whoami", "-/npm/v1/user")
    assert 403 == (await one.get("/api/v4/personal_access_tokens/self/associations")).status
    # What installing takes besides: these have no attestations.
    spec = "-/npm/v1/attestations/@acme%2f{}@1.0.0"
    assert [404, 403] == await statuses(one, hidden, spec.format("widget"), spec.format("other"))
    await set_settings(people, None, npm_package_requests_forwarding=False)
    for audit in ("advisories/bulk", "audits/quick", "audits"):
        assert 200 == (await one.ask("POST", path(hidden, f"-/npm/v1/security/{audit}"), json={})).status


async def test_a_token_with_networks_is_accepted_from_there_alone(
    people: People, project: Project, maintainer: Person
) -> None:
    await publish(people.root, project, "gadget", "1.0.0")
    person = await holder(maintainer, cidr_whitelist=["192.0.2.0/24", "2001:db8::/32"])
    url = path(project, "gadget")

    for _ in range(3):
        # The second time it is an answer that was kept.
        for headers, status in (
            (HERE, 200), (ELSEWHERE, 403), ({"X-Forwarded-For": "2001:db8::1"}, 200), ({}, 403), (HERE, 200),
        ):  # fmt: skip
            assert status == (await person.get(url, headers=headers)).status, headers
    text = "403 Forbidden - This token is not accepted from your address."
    assert (403, text) == await refused(await person.get(url, headers=ELSEWHERE))
    # Nor does it let anybody in from elsewhere.
    document = {"name": await username(maintainer), "password": person.token}
    user = path(None, f"-/user/org.couchdb.user:{document['name']}")
    assert [403, 201] == [
        (await people.anonymous.ask("PUT", user, json=document, headers=headers)).status
        for headers in (ELSEWHERE, HERE)
    ]
    assert 403 == (await send(person, project, a_publication("gadget", "2.0.0"), **ELSEWHERE)).status


async def test_users_see_and_revoke_their_own_tokens_only(people: People) -> None:
    ada, bob = await people.user(), await people.user()
    by_key, by_text = await make(ada), await make(ada)
    mine = [f"{URL}/token/{by_key['key']}", f"{URL}/token/{by_text['token']}"]

    assert 1 == (await (await bob.get(URL)).json())["total"]
    assert [404, 404] == [(await refused(await bob.ask("DELETE", url)))[0] for url in mine]
    assert [204, 204] == [(await ada.ask("DELETE", url)).status for url in mine]
    for made in (by_key, by_text):
        assert 401 == (await Person(ada.client, made["token"]).get(path(None, "-/whoami"))).status
    assert (404, "Token not found") == await refused(await ada.ask("DELETE", f"{URL}/token/nothing"))
    assert 1 == (await (await ada.get(URL)).json())["total"]


async def test_who_is_no_user_has_no_tokens(people: People, project: Project) -> None:
    deploy = await people.deploy_token(project)
    reader = await people.user(scopes=("read_api",))

    assert [401, 403] == [(await one.get(URL)).status for one in (people.anonymous, deploy)]
    assert [401, 403, 403] == [
        (await one.ask("POST", URL, json={})).status for one in (people.anonymous, deploy, reader)
    ]
    assert 200 == (await reader.get(URL)).status
