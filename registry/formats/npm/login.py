"""Login: through a browser, by name and token, and logout (npm.md, A.7).

No sign-in looks at credentials in a header: clients send along the stale token that they are about to replace.
"""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Mapping

import aiohttp_jinja2
from aiohttp import web
from markupsafe import Markup

from registry import derived_tokens, resource, sign_in
from registry.accounts import digest
from registry.derived_tokens import Wanted
from registry.errors import Forbidden, Invalid, NotFound, RegistryError, Unauthenticated
from registry.server import bodies, responses, shown
from registry.server.context import Context
from registry.server.limits import site, subscriber

PAGE = "/-/npm/v1/login"
_USER = "org.couchdb.user:"
_COOKIE = "registry_sign_in"
_LARGEST = 16 * 1024
# Seconds between two questions of a client; npm asks at once again without it.
_RETRY = "1"
_TITLE = "Sign in a package client"


async def begin(context: Context) -> web.StreamResponse:
    """Begin `npm login`: where the user confirms, and where the client asks whether they did."""
    address = context.address
    browser, client = await sign_in.begin(context.services.db, subscriber(address), site(address))
    base = f"{context.services.settings.base_url}{PAGE}"
    return responses.json({"loginUrl": f"{base}/{browser}", "doneUrl": f"{base}/{client}/done"})


async def done(context: Context) -> web.StreamResponse:
    """Answer the waiting client: its token, once the user has confirmed."""
    token = await sign_in.fetch(context.services.db, context.params["secret"], context.address)
    if token is None:
        return responses.json({}, status=202, headers={"Retry-After": _RETRY})
    return responses.json({"token": token})


async def show(context: Context) -> web.StreamResponse:
    """Ask the user to confirm a sign-in."""
    found = await sign_in.find(context.services.db, context.params["secret"])
    guard = secrets.token_urlsafe(32)
    page = _page(context.request, 200, {"sign_in": found, "guard": guard})
    # The form comes back with the guard and this cookie, which no other site can set for us or have sent.
    page.set_cookie(
        _COOKIE,
        guard,
        path=context.request.path,
        max_age=int(sign_in.LIFETIME.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=context.services.settings.base_url.startswith("https:"),
    )
    return page


async def confirm(context: Context) -> web.StreamResponse:
    """Let the client in as the user whose personal access token the form holds."""
    form = await _form(context)
    actor = await shown.person(context, form["token"].strip())
    await sign_in.confirm(context.services.db, context.params["secret"], actor)
    text = f"The client is signed in as {actor.username}. You can close this page."
    return _page(context.request, 200, {"text": text})


async def sign_in_by_name(context: Context) -> web.StreamResponse:
    """Sign in as npm did before there was a page (`npm login --auth-type=legacy`): the password is a token."""
    name = user_name(context)
    document = bodies.json_object(await bodies.read(context.request, _LARGEST))
    password = document.get("password")
    if document.get("name", name) != name or not isinstance(password, str) or not password:
        raise Invalid("name and password are expected; the password is a personal access token")
    actor = await shown.person(context, password)
    if actor.username.lower() != name.lower() or actor.token_id is None:
        raise Unauthenticated("401 Unauthorized - The token that was given as password is another user's")
    wanted = Wanted("npm login")
    _, token = await derived_tokens.create(context.services.db, actor.token_id, wanted, context.address)
    return responses.json({"ok": True, "id": f"{_USER}{actor.username}", "token": token}, status=201)


async def logout(context: Context) -> web.StreamResponse:
    """Revoke the token in the path, which must be the caller's and made by signing in (or by `npm token create`)."""
    sha256 = digest(context.params["token"])
    user_id = context.actor.id or 0
    await derived_tokens.revoke(context.services.db, context.author, user_id, sha256, derived_only=True)
    return responses.json({"ok": True})


def user_name(context: Context) -> str:
    """The user a path is about. Raises NotFound for anything but `org.couchdb.user:NAME`."""
    user = context.params["user"]
    if not user.startswith(_USER):
        raise NotFound("404 User Not Found")
    return user.removeprefix(_USER)


def render(request: web.Request, error: RegistryError) -> web.Response:
    """How the page says no."""
    text = "That is no token of a person here, or it is no longer good." if error.status == 401 else error.text
    page = _page(request, error.status, {"text": text})
    page.headers.update(dict(responses.failed({}, error).headers) | {"Content-Type": page.headers["Content-Type"]})
    return page


async def _form(context: Context) -> dict[str, str]:
    """The fields of our own page's form. Raises Invalid, and Forbidden for one that another site made."""
    request = context.request
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("403 Forbidden - This form was not sent by the page")
    if request.content_type != "application/x-www-form-urlencoded":
        raise Invalid("a form is expected")
    bodies.check_length(request, _LARGEST)
    values = await bodies.values(request)
    guard, token = values.get("guard"), values.get("token")
    if not isinstance(guard, str) or not isinstance(token, str) or not token.strip():
        raise Invalid("The form is not complete")
    cookie = request.cookies.get(_COOKIE, "")
    kept, sent = (text.encode("utf-8", "surrogatepass") for text in (cookie, guard))
    if not cookie or not hmac.compare_digest(kept, sent):
        raise Forbidden("403 Forbidden - This form was not sent by the page: open the page again, with cookies allowed")
    return {"token": token}


def _page(request: web.Request, status: int, values: Mapping[str, object]) -> web.Response:
    style = _style()
    shown_values = {"style": Markup(style), "title": _TITLE, "sign_in": None, "text": "", "guard": "", **values}  # noqa: S704
    text = aiohttp_jinja2.render_string("ui/sign_in.html", request, shown_values)
    return web.Response(
        text=text,
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={**dict(responses.html_headers(style, form=True)), "Cache-Control": "no-store"},
    )


@functools.cache
def _style() -> str:
    return (resource("templates") / "ui" / "style.css").read_text(encoding="utf-8")
