"""Derived tokens: never more than what they were made with, and never longer."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import access_tokens, accounts, derived_tokens
from registry.access import DEPLOY_TOKEN_SCOPES, TOKEN_SCOPES, Ability, Actor, scope_allows, scopes_cover
from registry.accounts import digest
from registry.db.accounts import User
from registry.derived_tokens import Wanted
from registry.errors import InvalidField, NotFound, Unauthenticated
from registry.lookups import Refusal
from registry.services import Services
from tests.people import OPERATOR

READ, WRITE = "read_package_registry", "write_package_registry"
SCOPES = tuple(dict.fromkeys((*TOKEN_SCOPES, *DEPLOY_TOKEN_SCOPES)))
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0")
TODAY = datetime.now(UTC).date()

scope_sets = st.sets(st.sampled_from(SCOPES), min_size=1)


@pytest.fixture
async def user(services: Services) -> User:
    return await accounts.create_user(services.db, OPERATOR, username="ada", name="Ada", email="ada@example.com")


async def a_token(
    services: Services, user: User, *, scopes: tuple[str, ...] = ("api",), expires_at: date | None = None
) -> tuple[int, str]:
    row, text = await accounts.create_personal_access_token(
        services.db, OPERATOR, user, name="parent", scopes=scopes, expires_at=expires_at
    )
    return row.id, text


async def a_child(services: Services, parent: int, **limits: object) -> tuple[int, str]:
    row, text = await derived_tokens.create(services.db, parent, Wanted("child", **limits), None)  # type: ignore[arg-type]
    return row.id, text


async def found(services: Services, text: str) -> Actor | str:
    """Whom a token lets in, or why it does not."""
    await services.changes.barrier(write=True)
    actor = await services.lookups.actor(text)
    return actor.reason if isinstance(actor, Refusal) else actor


@given(scope_sets, scope_sets)
def test_scopes_that_are_covered_reach_no_further(held: set[str], wanted: set[str]) -> None:
    holder, other = (Actor(kind="user", id=1, scopes=frozenset(scopes)) for scopes in (held, wanted))
    if scopes_cover(held, wanted):
        assert not [one for one in Ability if scope_allows(other, one) and not scope_allows(holder, one)]
    assert scopes_cover(held, held)


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        ({"api"}, {WRITE}, True),
        ({"read_api"}, {READ}, True),
        ({"read_api"}, {WRITE}, False),
        ({WRITE}, {READ}, True),
        ({READ}, {WRITE}, False),
        ({WRITE}, {"api"}, False),
        ({"api"}, {"sudo"}, False),
    ],
)
def test_which_scopes_cover_which(held: set[str], wanted: set[str], *, covered: bool) -> None:
    assert covered is scopes_cover(held, wanted)


async def test_a_token_never_reaches_further_than_the_one_it_is_made_with(services: Services, user: User) -> None:
    top, _ = await a_token(services, user, expires_at=TODAY + timedelta(days=5))
    parent, _ = await a_child(services, top, scopes=(WRITE,))
    with pytest.raises(InvalidField):
        await a_child(services, parent, scopes=("api",))
    narrow, _ = await a_child(
        services, parent, scopes=(READ,), networks=("10.0.0.0/8",), packages=("npm:a", "npm:@b/*")
    )

    for wanted in (
        {"scopes": (WRITE,)},
        {"scopes": ("api",)},
        {"networks": ("0.0.0.0/0",)},
        {"networks": ("2001:db8::/32",)},
        {"packages": ("npm:a", "npm:c")},
        {"networks": tuple(f"10.0.0.{n}/32" for n in range(derived_tokens.MOST_NETWORKS + 1))},
        {"packages": ("npm:a",) * (derived_tokens.MOST_PACKAGES + 1)},
    ):
        with pytest.raises(InvalidField):
            await a_child(services, narrow, **wanted)
    _, text = await a_child(services, narrow, expires_at=TODAY + timedelta(days=50))
    actor = await found(services, text)
    assert isinstance(actor, Actor)
    assert ({READ}, (ip_network("10.0.0.0/8"),), ("npm:a", "npm:@b/*")) == (
        actor.scopes,
        actor.networks,
        actor.packages,
    )
    assert actor.valid_until is not None
    assert TODAY + timedelta(days=5) >= actor.valid_until.date()
    _, text = await a_child(services, narrow, networks=("10.1.0.0/16",), packages=("npm:a",))
    actor = await found(services, text)
    assert isinstance(actor, Actor)
    assert ((ip_network("10.1.0.0/16"),), ("npm:a",)) == (actor.networks, actor.packages)


async def test_a_token_that_is_rotated_keeps_its_limits_and_ends_with_its_parent(
    services: Services, user: User
) -> None:
    ends = TODAY + timedelta(days=5)
    parent, _ = await a_token(services, user, expires_at=ends)
    child, old = await a_child(services, parent, scopes=(READ,), networks=("10.0.0.0/8",), packages=("npm:a",))

    _, new = await access_tokens.rotate(services.db, OPERATOR, child, lambda _: TODAY + timedelta(days=300))

    assert "revoked" == await found(services, old)
    actor = await found(services, new)
    assert isinstance(actor, Actor)
    assert ({READ}, (ip_network("10.0.0.0/8"),), ("npm:a",)) == (actor.scopes, actor.networks, actor.packages)
    assert actor.valid_until is not None
    assert ends >= actor.valid_until.date()
    await access_tokens.revoke(services.db, OPERATOR, parent)
    assert "revoked" == await found(services, new)


async def test_nothing_is_made_with_a_token_that_has_ended(services: Services, user: User) -> None:
    parent, text = await a_token(services, user)
    await derived_tokens.revoke(services.db, OPERATOR, user.id, digest(text), derived_only=False)

    for gone in (parent, 4711):
        with pytest.raises(Unauthenticated):
            await a_child(services, gone)
    with pytest.raises(NotFound):
        await derived_tokens.revoke(services.db, OPERATOR, user.id, digest("another"), derived_only=False)


async def test_no_token_that_is_being_made_survives_the_end_of_those_before_it(services: Services, user: User) -> None:
    parent, _ = await a_token(services, user)
    made = [await a_child(services, parent)]
    made.append(await a_child(services, made[0][0]))

    async def make(above: int) -> None:
        try:
            while True:
                made.append(await a_child(services, above))
        except Unauthenticated:
            pass

    async def end() -> None:
        while len(made) < 20:
            await asyncio.sleep(0)
        await access_tokens.revoke(services.db, OPERATOR, parent)

    makers = [make(one) for one, _ in list(made)]
    await asyncio.wait_for(asyncio.gather(end(), *makers), 60)

    assert {"revoked"} == {await found(services, text) for _, text in made}


@given(
    st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=3), st.one_of(st.ip_addresses().map(str), st.text()),
)  # fmt: skip
def test_an_address_is_admitted_where_a_network_holds_it(networks: list[str], address: str) -> None:
    actor = Actor(kind="user", networks=tuple(map(ip_network, networks)))
    try:
        where = ip_address(address)
    except ValueError:
        assert not actor.is_admitted_from(address)
        return
    inside = any(where.version == one.version and where in one for one in actor.networks)
    assert inside is actor.is_admitted_from(address)
    assert (True, False) == (Actor().is_admitted_from(address), actor.is_admitted_from(None))


def test_a_token_for_some_packages_is_for_these_alone() -> None:
    actor = Actor(kind="user", packages=("npm:gadget", "npm:@acme/widget", "npm:@tools/*"))
    names = ("gadget", "gadgets", "@acme/widget", "@acme/other", "@tools/any", "@toolsmith/any", "tools")

    assert [True, False, True, False, True, False, False] == [actor.is_for("npm", name) for name in names]
    assert not any(itertools.chain(actor.is_for("pypi", name) for name in names))
    assert Actor().is_for("npm", "anything")
