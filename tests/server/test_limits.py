"""Limits: who asks too often is told when to come back, and nobody else notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from registry import accounts
from registry.access import ANONYMOUS, Actor
from registry.db.accounts import find_user
from registry.model import Project
from registry.server import limits
from registry.server.limits import MOST_GUESSES, Limits, RateLimited, subscriber
from registry.settings import Settings
from tests.formats.pypi.distributions import a_wheel
from tests.people import OPERATOR, People, Person, basic
from tests.server.wire import Wire, wired

ADDRESS = "192.0.2.1"
TOO_MANY = {"message": "429 Too Many Requests"}
HOUR = 3600


def on(name: str, requests: int, seconds: int = HOUR) -> dict[str, object]:
    """The settings that switch a throttle on."""
    name = f"throttle_{name}"
    return {f"{name}_enabled": True, f"{name}_requests_per_period": requests, f"{name}_period_in_seconds": seconds}


async def limit(people: People, *settings: dict[str, object]) -> None:
    changed = {key: value for one in settings for key, value in one.items()}
    await accounts.update_settings(people.services.db, OPERATOR, changed)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A client may say that it speaks for another address."""
    return settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"})


@pytest.fixture
async def project(people: People) -> Project:
    project = await people.project(await people.group(visibility="public"), visibility="public")
    answer = await people.root.upload(project, "demo-1.0-py3-none-any.whl", a_wheel(), name="demo", version="1.0")
    assert 201 == answer.status
    return project


@pytest.fixture
async def wire(server: TestServer) -> AsyncIterator[Wire]:
    async with wired(server) as wire:
        yield wire


def simple(project: Project) -> str:
    return f"/api/v4/projects/{project.id}/packages/pypi/simple/demo"


def npm_tarball(project: Project) -> str:
    return f"/api/v4/projects/{project.id}/packages/npm/nothing/-/nothing-1.0.0.tgz"


async def one_window() -> None:
    """Wait until what follows falls into one window of guesses."""
    await asyncio.sleep(max(0, 5 - limits.GUESS_SECONDS + time.time() % limits.GUESS_SECONDS))


async def statuses(person: Person, *paths: str, **options: Any) -> list[int]:
    return [(await person.get(path, **options)).status for path in paths]


def told(response: ClientResponse) -> dict[str, str]:
    """The headers about the limit but for the moment of its end."""
    shown = {name: value for name, value in response.headers.items() if name.startswith("RateLimit-")}
    reset = int(shown.pop("RateLimit-Reset", HOUR))
    assert 0 == reset % HOUR
    return shown


# --- the throttles --------------------------------------------------------------------------------------------------


async def test_nothing_is_limited_unless_an_administrator_says_so(people: People, project: Project) -> None:
    for _ in range(50):
        answer = await people.anonymous.get(simple(project))
        assert (200, {}) == (answer.status, told(answer))


async def test_who_asks_too_often_is_told_when_to_come_back(people: People, project: Project) -> None:
    await limit(people, on("unauthenticated_packages_api", 3))
    for seen in (1, 2, 3):
        answer = await people.anonymous.get(simple(project))
        expected = {
            "RateLimit-Limit": "1",  # per minute: 3 an hour, rounded up
            "RateLimit-Name": "throttle_unauthenticated_packages_api",
            "RateLimit-Observed": str(seen),
            "RateLimit-Remaining": str(3 - seen),
        }
        assert (200, expected) == (answer.status, told(answer))
    refused = await people.anonymous.get(simple(project))
    assert (429, {**expected, "RateLimit-Observed": "4"}) == (refused.status, told(refused))
    assert {**TOO_MANY, "code": "429 Too Many Requests"} == await refused.json()
    assert "Too Many Requests" == refused.reason
    assert 1 <= int(refused.headers["Retry-After"]) <= HOUR
    left = int(refused.headers["RateLimit-Reset"]) - time.time()
    assert abs(left - int(refused.headers["Retry-After"])) <= 2


async def test_each_face_refuses_in_its_own_shape(people: People, project: Project) -> None:
    await limit(people, on("unauthenticated_packages_api", 1), on("unauthenticated_api", 1))
    path = f"/api/v4/projects/{project.id}"
    text = TOO_MANY["message"]
    for url, body in (
        (f"{path}/packages/pypi/simple", {**TOO_MANY, "code": text}),
        (f"{path}/packages/npm/demo", {**TOO_MANY, "error": text}),
        (path, TOO_MANY),
    ):
        await people.anonymous.get(url)
        refused = await people.anonymous.get(url)
        assert (429, body) == (refused.status, await refused.json())


async def test_users_are_counted_by_themselves_whatever_token_they_use(people: People, project: Project) -> None:
    await limit(people, on("authenticated_packages_api", 2))
    one, other, deploy = await people.user(), await people.user(), await people.deploy_token(project)
    user = await find_user(people.services.db, one.user_id or 0)
    assert user is not None
    _, token = await accounts.create_personal_access_token(
        people.services.db, OPERATOR, user, name="second", scopes=("api",)
    )
    path = simple(project)
    assert [200, 200, 429] == await statuses(one, path, path, path)
    assert [429] == await statuses(Person(people.client, token), path)
    for somebody_else in (other, deploy):
        assert [200, 200, 429] == await statuses(somebody_else, path, path, path)
    assert [200] * 5 == await statuses(people.anonymous, *[path] * 5)


async def test_signing_in_a_client_counts_as_a_request_to_a_package_api(people: People) -> None:
    begin = "/api/v4/packages/npm/-/v1/login"
    begun = await (await people.anonymous.ask("POST", begin)).json()
    page, done = URL(begun["loginUrl"]).path, URL(begun["doneUrl"]).path
    await limit(people, on("unauthenticated_packages_api", 1))

    first = await people.anonymous.get(done)
    others = [("GET", done), ("GET", page), ("POST", page), ("POST", begin),
              ("PUT", "/api/v4/packages/npm/-/user/org.couchdb.user:ada")]  # fmt: skip

    assert (202, "0") == (first.status, first.headers["RateLimit-Remaining"])
    assert [429] * 5 == [(await people.anonymous.ask(method, url)).status for method, url in others]
    # What watches over the server goes on.
    assert [200, 200] == await statuses(people.anonymous, "/-/liveness", "/-/readiness")


async def test_the_limit_of_the_package_api_takes_the_place_of_the_general_one(
    people: People, project: Project
) -> None:
    path, api = simple(project), f"/api/v4/projects/{project.id}"
    await limit(people, on("unauthenticated_api", 2))
    assert [200, 200, 429, 429] == await statuses(people.anonymous, path, api, path, api)

    await limit(people, on("unauthenticated_packages_api", 3))
    # What was counted for the general limit stays counted.
    assert [429, 200, 200, 200, 429] == await statuses(people.anonymous, api, path, path, path, path)

    await limit(people, {"throttle_unauthenticated_packages_api_enabled": False})
    assert [429] == await statuses(people.anonymous, path)
    await limit(people, {"throttle_unauthenticated_api_enabled": False})
    assert [200, 200] == await statuses(people.anonymous, path, api)


async def test_the_limit_ends_with_the_period(people: People, project: Project) -> None:
    await limit(people, on("unauthenticated_api", 1, seconds=2))
    path = f"/api/v4/projects/{project.id}"
    async with asyncio.timeout(20):
        while [200, 429] != await statuses(people.anonymous, path, path):
            await asyncio.sleep(0.1)
        # It may just have ended between the two; then there is another.
        while True:
            refused = await people.anonymous.get(path)
            if refused.status == 429:
                break
    assert int(refused.headers["Retry-After"]) in {1, 2}
    await asyncio.sleep(int(refused.headers["RateLimit-Reset"]) - time.time() + 0.1)
    assert [200] == await statuses(people.anonymous, path)


async def test_a_change_of_a_limit_holds_at_once_also_for_pages_that_are_remembered(
    people: People, wire: Wire, project: Project
) -> None:
    for _ in range(3):
        assert 200 == (await wire.ask("GET", simple(project))).status
    await limit(people, on("unauthenticated_packages_api", 2))
    answers = [await wire.ask("GET", simple(project)) for _ in range(4)]
    assert [200, 200, 429, 429] == [answer.status for answer in answers]
    assert ["1", "0", "0", "0"] == [answer.header("RateLimit-Remaining") for answer in answers]
    await limit(people, {"throttle_unauthenticated_packages_api_enabled": None})
    again = await wire.ask("GET", simple(project))
    assert (200, None) == (again.status, again.header("RateLimit-Remaining"))


async def test_the_operators_routes_are_never_limited(people: People) -> None:
    await limit(people, on("unauthenticated_api", 1), on("unauthenticated_packages_api", 1))
    assert [200] * 6 == await statuses(people.anonymous, *["/-/health", "/-/readiness", "/-/metrics"] * 2)


async def test_refusals_are_counted_by_operators(people: People, project: Project) -> None:
    await limit(people, on("unauthenticated_packages_api", 1))
    line = 'registry_ratelimited_total{rule="throttle_unauthenticated_packages_api"}'

    async def shown() -> float:
        text = await (await people.anonymous.get("/-/metrics")).text()
        return sum(float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line))

    before = await shown()
    await statuses(people.anonymous, *[simple(project)] * 3)
    assert before + 2 == await shown()


async def test_the_settings_are_gitlabs(people: People) -> None:
    path = "/api/v4/application/settings"
    shown = await (await people.root.get(path)).json()
    assert {
        "throttle_unauthenticated_api_enabled": False,
        "throttle_unauthenticated_api_requests_per_period": 3600,
        "throttle_unauthenticated_api_period_in_seconds": 3600,
        "throttle_authenticated_api_enabled": False,
        "throttle_authenticated_api_requests_per_period": 7200,
        "throttle_authenticated_api_period_in_seconds": 3600,
        "throttle_unauthenticated_packages_api_enabled": False,
        "throttle_unauthenticated_packages_api_requests_per_period": 800,
        "throttle_unauthenticated_packages_api_period_in_seconds": 15,
        "throttle_authenticated_packages_api_enabled": False,
        "throttle_authenticated_packages_api_requests_per_period": 1000,
        "throttle_authenticated_packages_api_period_in_seconds": 15,
    } == {name: value for name, value in shown.items() if name.startswith("throttle_")}
    values = on("unauthenticated_api", 1)
    changed = await people.root.ask("PUT", path, json=values)
    assert (200, {**shown, **values}) == (changed.status, await changed.json())
    for value in (0, -1, "many", 2**31):
        refused = await people.root.ask("PUT", path, json={"throttle_authenticated_api_requests_per_period": value})
        assert 400 == refused.status
    assert [401, 429] == await statuses(people.anonymous, path, path)


# --- failed sign-ins ------------------------------------------------------------------------------------------------


async def test_guessing_tokens_is_refused_and_nobody_else_is(people: People, project: Project) -> None:
    private = await people.project()
    stale = await people.user()
    await accounts.set_user_state(people.services.db, OPERATOR, stale.user_id or 0, "blocked")
    path = f"/api/v4/projects/{private.id}/packages/pypi/simple"
    assert [200] == await statuses(people.root, path)
    new = await people.user(admin=True)
    await one_window()
    guesses = [Person(people.client, f"glpat-{number}") for number in range(MOST_GUESSES + 3)]
    answers = [(await guess.get(path)).status for guess in guesses]
    assert [401] * MOST_GUESSES + [429] * 3 == answers
    # Also the right one, for all we know guessed; even where its answer is remembered, and as a password.
    elsewhere = {"X-Forwarded-For": "198.51.100.7"}
    assert [200, 200] == await statuses(new, path, "/api/v4/user", headers=elsewhere)
    assert [429, 429] == await statuses(new, path, "/api/v4/user")
    password = Person(people.client, headers=basic("user", new.token or ""))
    assert [429, 429, 429] == await statuses(password, path, simple(project), npm_tarball(project))

    refused = await Person(people.client, headers=basic("user", "another-guess")).get(path)
    text = "429 Too Many Requests - too many unknown tokens were tried from this address"
    assert (429, {"message": text, "code": text}) == (refused.status, await refused.json())
    assert 1 <= int(refused.headers["Retry-After"]) <= limits.GUESS_SECONDS
    # The same address, with what is good, with nothing, with what was tried before, and with what once was good.
    assert [200] == await statuses(people.root, path)
    assert [401] == await statuses(people.anonymous, path)
    assert [401] == await statuses(guesses[0], path)
    assert [200] == await statuses(people.anonymous, simple(project))
    assert [429] == await statuses(stale, path)


async def test_a_token_that_once_was_good_is_no_guess(people: People) -> None:
    private = await people.project()
    stale = await people.user()
    await accounts.set_user_state(people.services.db, OPERATOR, stale.user_id or 0, "blocked")
    await one_window()
    assert [403] * 2 * MOST_GUESSES == await statuses(stale, *[simple(private)] * 2 * MOST_GUESSES)
    for number in range(MOST_GUESSES + 1):
        await Person(people.client, f"glpat-{number}").get(simple(private))
    assert [403] == await statuses(stale, simple(private))


@pytest.mark.parametrize("place", ["page", "tarball"])
async def test_guesses_count_wherever_they_are_made(people: People, project: Project, place: str) -> None:
    path = simple(project) if place == "page" else npm_tarball(project)
    # A public page needs no sign-in, so that a stale password in a URL does no harm.
    stale = Person(people.client, headers=basic("user", "stale"))
    await one_window()
    usual = (await statuses(stale, path))[0]
    assert [usual] * 5 == await statuses(stale, *[path] * 5)
    guesses = [Person(people.client, headers=basic("user", f"guess-{number}")) for number in range(MOST_GUESSES)]
    answers = [(await guess.get(path)).status for guess in guesses]
    assert [usual] * (MOST_GUESSES - 1) + [429] == answers
    assert [429] == await statuses(await people.user(admin=True), path)
    assert [usual] * 2 == await statuses(people.root, path) + await statuses(people.anonymous, path)


async def test_one_wrong_token_however_often_is_no_guessing(people: People) -> None:
    private = await people.project()
    wrong = Person(people.client, "glpat-of-another-instance")
    as_password = Person(people.client, headers=basic("job", "glpat-of-another-instance"))
    for person in (wrong, as_password):
        assert [401] * 3 * MOST_GUESSES == await statuses(person, *[simple(private)] * 3 * MOST_GUESSES)


# --- who is counted -------------------------------------------------------------------------------------------------


async def test_callers_behind_a_trusted_proxy_are_counted_by_their_own_address(
    people: People, project: Project
) -> None:
    await limit(people, on("unauthenticated_packages_api", 2))
    path = simple(project)
    for address in ("198.51.100.7", "198.51.100.8", "2001:db8:0:1::7"):
        answers = await statuses(people.anonymous, path, path, path, headers={"X-Forwarded-For": address})
        assert [200, 200, 429] == answers, address
    neighbour = {"X-Forwarded-For": "2001:db8:0:1:ffff::1"}
    assert [429] == await statuses(people.anonymous, path, headers=neighbour)


@given(st.ip_addresses())
def test_a_subscriber_is_one_address_of_ipv4_or_one_network_of_ipv6(address: Any) -> None:
    seen = subscriber(str(address))
    if address.version == 4:
        assert str(address) == seen == subscriber(f"::ffff:{address}")
    elif address.ipv4_mapped is None:
        first, last = int(address) >> 64 << 64, int(address) | (2**64 - 1)
        assert seen == subscriber(str(type(address)(first))) == subscriber(str(type(address)(last)))
        assert seen != subscriber(str(type(address)((last + 1) % 2**128)))


def test_what_is_no_address_is_one_subscriber() -> None:
    assert ["", "", "unix:"] == [subscriber(None), subscriber(""), subscriber("unix:")]


# --- the counters ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 40), st.integers(1, 10**6))
def test_exactly_the_limit_gets_through(requests: int, asked: int, seconds: int) -> None:
    here = Limits()
    here.configure(on("unauthenticated_api", requests, seconds + 10**9))
    through = 0
    for _ in range(asked):
        try:
            here.count(ANONYMOUS, ADDRESS, packages=True)
        except RateLimited:
            continue
        through += 1
    assert min(requests, asked) == through


def test_the_counts_are_bounded_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_CLIENTS", 100)
    here = Limits()
    here.configure({**on("unauthenticated_api", 5), **on("authenticated_api", 5)})
    for number in range(1000):
        here.count(ANONYMOUS, f"10.0.{number // 256}.{number % 256}", packages=False)
        here.count(Actor(kind="user", id=number), ADDRESS, packages=False)
        here.signed_in(f"10.0.{number // 256}.{number % 256}", "good")
        for guess in range(20):
            with suppress(RateLimited):
                here.failed_sign_in(f"10.0.{number // 256}.{number % 256}", str(guess))
    counted = [len(throttle.window._clients) for throttle in here._throttles.values()]
    assert max(*counted, len(here._guesses._clients), len(here._good)) <= 100
    assert all(len(guesses) <= MOST_GUESSES for guesses in here._guesses._clients.values())


def test_only_a_change_of_the_settings_is_read() -> None:
    here, settings = Limits(), on("authenticated_api", 1)
    assert not here.active
    here.configure(settings)
    throttles = here._throttles
    here.configure(settings)
    assert (True, throttles) == (here.active, here._throttles)
    assert here._throttles is throttles
    here.configure({})
    assert not here.active


# --- what a token was used for --------------------------------------------------------------------------------------


async def test_the_use_of_a_token_is_noted_also_for_pages_that_are_remembered(
    people: People, wire: Wire, project: Project
) -> None:
    person = await people.user()
    headers = {"PRIVATE-TOKEN": person.token or ""}

    async def last_used() -> str | None:
        shown = await (await people.root.get(f"/api/v4/personal_access_tokens?user_id={person.user_id}")).json()
        return str(shown[0]["last_used_at"]) if shown[0]["last_used_at"] else None

    assert None is await last_used()
    seen = []
    for _ in range(3):
        assert 200 == (await wire.ask("GET", simple(project), headers)).status
        await people.services.usage.flush()
        seen.append(await last_used() or "")
    assert "" < seen[0] < seen[1] < seen[2]
