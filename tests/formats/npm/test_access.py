"""Who may do what, and how the others are told (contract 1.0, 2, 4.5)."""

from __future__ import annotations

import pytest
from aiohttp import ClientResponse

from registry import accounts
from registry.access import AccessLevel
from registry.model import Group, Project, Visibility
from tests import inventory
from tests.formats.npm.transcripts import a_publication, base, encoded, path, publish, refused, send, set_settings
from tests.people import OPERATOR, People, Person, basic

NAME = "@acme/widget"
READS = {
    "packument": "@acme%2fwidget",
    "version": "@acme%2fwidget/1.0.0",
    "tarball": "@acme/widget/-/@acme/widget-1.0.0.tgz",
    "tags": "-/package/@acme%2fwidget/dist-tags",
    "search": "-/v1/search?text=widget",
    "whoami": "-/whoami",
}
CALLERS = (
    "anonymous",
    "outsider",
    "guest",
    "reporter",
    "developer",
    "maintainer",
    "read token",
    "write token",
    "foreign token",
    "read_api",
    "read_user",
)
# Statuses in the order of CALLERS.
OPEN = (200,) * 10 + (403,)
EXPECTED: dict[str, dict[str, tuple[int, ...]]] = {
    "public": {
        "packument": OPEN,
        "version": OPEN,
        "tarball": OPEN,
        "tags": OPEN,
        "search": OPEN,
        "whoami": (401, *OPEN[1:]),
        "publish": (401, 403, 403, 403, 200, 200, 403, 200, 403, 403, 403),
        "set tag": (401, 403, 403, 403, 204, 204, 403, 204, 403, 403, 403),
        "delete tag": (401, 403, 403, 403, 403, 204, 403, 204, 403, 403, 403),
        "deprecate": (401, 403, 403, 403, 403, 200, 403, 200, 403, 403, 403),
        "unpublish": (401, 403, 403, 403, 403, 200, 403, 200, 403, 403, 403),
    },
    "private": {
        "packument": (401, 404, 200, 200, 200, 200, 200, 200, 404, 200, 403),
        "version": (401, 404, 200, 200, 200, 200, 200, 200, 404, 200, 403),
        "tarball": (404, 404, 200, 200, 200, 200, 200, 200, 404, 200, 403),
        "tags": (401, 404, 200, 200, 200, 200, 200, 200, 404, 200, 403),
        "search": (401, 404, 200, 200, 200, 200, 200, 200, 404, 200, 403),
        "whoami": (401, 404, 200, 200, 200, 200, 200, 200, 404, 200, 403),
        "publish": (401, 404, 403, 403, 200, 200, 403, 200, 404, 403, 403),
        "set tag": (401, 404, 403, 403, 204, 204, 403, 204, 404, 403, 403),
        "delete tag": (401, 404, 403, 403, 403, 204, 403, 204, 404, 403, 403),
        "deprecate": (401, 404, 403, 403, 403, 200, 403, 200, 404, 403, 403),
        "unpublish": (401, 404, 403, 403, 403, 200, 403, 200, 404, 403, 403),
    },
}
# An internal project is open to every user, not to anonymous callers and not to other projects' deploy tokens.
EXPECTED["internal"] = {
    what: tuple(
        EXPECTED["private" if who in {"anonymous", "foreign token"} else "public"][what][number]
        for number, who in enumerate(CALLERS)
    )
    for what in EXPECTED["public"]
}


async def callers(people: People, project: Project) -> dict[str, Person]:
    elsewhere = await people.project()
    found = [
        people.anonymous,
        await people.user(),
        await people.member(project, AccessLevel.GUEST),
        await people.member(project, AccessLevel.REPORTER),
        await people.member(project, AccessLevel.DEVELOPER),
        await people.member(project, AccessLevel.MAINTAINER),
        await people.deploy_token(project, "read_package_registry"),
        await people.deploy_token(project, "write_package_registry"),
        await people.deploy_token(elsewhere, "write_package_registry"),
        await people.member(project, AccessLevel.MAINTAINER, scopes=("read_api",)),
        await people.member(project, AccessLevel.MAINTAINER, scopes=("read_user",)),
    ]
    return dict(zip(CALLERS, found, strict=True))


async def status(response: ClientResponse) -> int:
    return (await refused(response))[0] if response.status >= 400 else response.status


@pytest.mark.parametrize("visibility", ["public", "internal", "private"])
async def test_the_matrix(people: People, visibility: Visibility) -> None:
    project = await people.project(await people.group("acme", visibility=visibility), visibility=visibility)
    persons = await callers(people, project)
    await publish(people.root, project, NAME, "1.0.0")
    tag = path(project, "-/package/@acme%2fwidget/dist-tags/stable")
    seen: dict[str, list[int]] = {what: [] for what in EXPECTED["public"]}

    for number, person in enumerate(persons.values()):
        for what, rest in READS.items():
            seen[what].append(await status(await person.get(path(project, rest))))
        version = f"2.0.{number}"
        seen["publish"].append(await status(await send(person, project, a_publication(NAME, version, tag="next"))))
        seen["set tag"].append(await status(await person.ask("PUT", tag, json="1.0.0")))
        await people.root.ask("PUT", tag, json="1.0.0")
        seen["delete tag"].append(await status(await person.ask("DELETE", tag)))
        sent = {"name": NAME, "versions": {"1.0.0": {"deprecated": f"no. {number}"}}}
        seen["deprecate"].append(await status(await send(person, project, sent)))
        await publish(people.root, project, "doomed", f"1.0.{number}")
        rev = (await (await people.root.get(path(project, "doomed"))).json())["_rev"]
        url = path(project, f"doomed/-rev/{rev}")
        seen["unpublish"].append(await status(await person.ask("DELETE", url)))

    assert EXPECTED[visibility] == {what: tuple(statuses) for what, statuses in seen.items()}


async def test_every_form_of_credentials_is_understood(people: People, group: Group) -> None:
    project = await people.project(group, visibility="private")
    member = await people.member(project, AccessLevel.DEVELOPER)
    token = (await people.deploy_token(project, "write_package_registry")).headers["Deploy-Token"]
    pat = member.token or ""
    accepted = [
        {"Authorization": f"Bearer {pat}"},
        {"Authorization": f"bearer {token}"},
        {"PRIVATE-TOKEN": pat},
        {"Deploy-Token": token},
        basic("anything", pat),
        basic("gitlab+deploy-token-1", token),
        basic("anything", token),
    ]

    for number, headers in enumerate(accepted):
        person = Person(people.client, headers=headers)
        await publish(person, project, NAME, f"1.0.{number}")
        for rest in READS.values():
            assert 200 == (await person.get(path(project, rest))).status, (number, rest)
    assert 200 == (await people.anonymous.get(path(project, f"@acme%2fwidget?private_token={pat}"))).status


async def test_credentials_that_are_no_good(people: People, group: Group, project: Project) -> None:
    """Basic with an unknown password is nobody; an unknown token anywhere else is 401, on public projects too."""
    hidden = await people.project(group, visibility="private")
    await publish(people.root, project, NAME, "1.0.0")
    unknown = [{"Authorization": "Bearer wrong"}, {"PRIVATE-TOKEN": "wrong"}, {"Deploy-Token": "wrong"}]

    for headers in unknown:
        for place in (project, group, None):
            for rest in READS.values():
                response = await people.anonymous.get(path(place, rest), headers=headers)
                assert (401, "401 Unauthorized") == await refused(response)
    assert 200 == (await people.anonymous.get(path(project, "@acme%2fwidget"), headers=basic("a", "wrong"))).status
    answer = await people.anonymous.get(path(hidden, "@acme%2fwidget"), headers=basic("a", "wrong"))
    assert (401, "401 Unauthorized") == await refused(answer)
    send_it = await people.anonymous.ask("PUT", path(project, "w"), json={}, headers=basic("a", "wrong"))
    assert (401, "401 Unauthorized") == await refused(send_it)


async def test_a_revoked_token_says_so_in_all_keys(people: People, project: Project) -> None:
    found, token = await accounts.create_deploy_token(
        people.services.db, OPERATOR, project, name="test", scopes=("read_package_registry",)
    )
    person = Person(people.client, headers={"Deploy-Token": token})
    assert 200 == (await person.get(path(project, "-/whoami"))).status
    await accounts.revoke_deploy_token(people.services.db, OPERATOR, project, found.id)

    response = await person.get(path(project, "-/whoami"))

    text = "Token was revoked. You have to re-authorize from the user."
    assert (401, {"error": "invalid_token", "error_description": text, "message": text}) == (
        response.status,
        await response.json(),
    )


async def test_below_a_group_a_hidden_name_is_refused_and_an_unknown_one_absent(people: People, group: Group) -> None:
    await set_settings(people, None, npm_package_requests_forwarding=False)
    hidden = await people.project(group, visibility="private")
    await publish(people.root, hidden, NAME, "1.0.0")
    outsider = await people.user()
    guest = await people.member(hidden, AccessLevel.GUEST)

    for place in (group, None):
        for rest in ("@acme%2fwidget", "@acme%2fwidget/1.0.0", "-/package/@acme%2fwidget/dist-tags"):
            answers = [await person.get(path(place, rest)) for person in (people.anonymous, outsider, guest)]
            assert [401, 403, 200] == [answer.status for answer in answers], rest
            for answer in answers[:2]:
                await refused(answer)


async def test_a_hidden_group_is_like_one_that_is_not_there(people: People) -> None:
    group = await people.group("acme", visibility="private")
    outsider = await people.user()
    unknown = base(group).replace(str(group.id), "999999")

    for rest in (*READS.values(), "left-pad"):
        for person, usual in ((people.anonymous, 401), (outsider, 404)):
            answers = [await refused(await person.get(f"{prefix}/{rest}")) for prefix in (base(group), unknown)]
            expected = 404 if "/-/@acme" in rest else usual
            assert [expected] * 2 == [answer[0] for answer in answers], rest
            assert answers[0] == answers[1]


async def test_a_project_whose_registry_anyone_may_pull_from(people: People, group: Group) -> None:
    """Its own routes are open, those of its group and of the instance are not (contract 1.0)."""
    project = await people.project(group, visibility="private", package_registry_access_level="public")
    await publish(people.root, project, NAME, "1.0.0")

    for what in ("packument", "version", "tarball", "tags"):
        assert 200 == (await people.anonymous.get(path(project, READS[what]))).status
    assert 401 == (await people.anonymous.get(path(group, READS["packument"]))).status


async def test_a_project_without_a_package_registry(people: People, group: Group) -> None:
    project = await people.project(group, visibility="public", package_registry_access_level="disabled")
    maintainer = await people.member(project, AccessLevel.MAINTAINER)

    assert (403, "403 Forbidden") == await refused(await maintainer.get(path(project, "@acme%2fwidget")))
    assert (403, "403 Forbidden") == await refused(await send(maintainer, project, a_publication(NAME, "1.0.0")))
    assert inventory.EMPTY == await inventory.take(people.services)


async def test_every_refusal_has_both_keys_on_unknown_routes_and_methods_too(people: People, project: Project) -> None:
    prefixes = (
        base(project),
        "/api/v4/groups/acme/-/packages/npm",
        base(None),
        "/api/v4/projects/acme%2fno/packages/npm",
    )

    for prefix in prefixes:
        for method, rest, expected in (
            ("GET", "", 404),
            ("GET", "/", 404),
            ("GET", "/-/npm/v1/keys", 404),
            ("GET", "/-/npm/v1/hooks", 404),
            ("GET", "/a/b/c/d/e/f", 404),
            ("GET", "/%ff", 400),
            ("GET", "/a%00b", 400),
            ("PATCH", "/widget", 405),
            ("DELETE", "/widget", 405),
            ("POST", "/widget/1.0.0", 405),
            ("DELETE", "/-/ping", 405),
            ("GET", "/-/npm/v1/security/audits", 405),
            ("GET", "/" + "a" * 5000, 404),
        ):
            response = await people.root.ask(method, f"{prefix}{rest}")
            found = await refused(response)
            assert expected == found[0], (method, prefix, rest)
            assert (expected == 405) == ("Allow" in response.headers)


async def test_a_path_may_stand_for_an_id(people: People, project: Project) -> None:
    await publish(people.root, project, NAME, "1.0.0")
    path_ = encoded(project.full_path)

    for prefix in (f"/api/v4/projects/{path_}/packages/npm", "/api/v4/groups/acme/-/packages/npm"):
        for rest in READS.values():
            assert 200 == (await people.root.get(f"{prefix}/{rest}")).status
    plain = await people.root.get(f"/api/v4/projects/{project.full_path}/packages/npm/{encoded(NAME)}")
    assert 404 == plain.status
