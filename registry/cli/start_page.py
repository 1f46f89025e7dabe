"""The start page: what to do with a registry that has just started."""

from __future__ import annotations

from urllib.parse import urlsplit

_PAGE = """\
The registry answers at {base}

{token}

Make a project; the answer holds its id, which is 1 the first time:

  curl --header "PRIVATE-TOKEN: $TOKEN" --data "name=demo" {api}/projects

Publish and install, here with project 1:

  twine   TWINE_USERNAME=root TWINE_PASSWORD=$TOKEN twine upload --repository-url {pypi} dist/*
  pip     pip install --index-url {with_token}/simple NAME
  uv      uv publish --username root --password $TOKEN --publish-url {pypi}
          uv pip install --index-url {with_token}/simple NAME
  npm     npm config set @demo:registry={npm}/
          npm config set -- {npm_key}/:_authToken=$TOKEN
          npm publish
          npm install @demo/NAME

Stop it with Ctrl-C.
"""
_MADE = """\
The token of the admin user root, shown this once:

  export TOKEN={token}"""
_GIVEN = """\
The admin user root has the token in REGISTRY_ROOT_TOKEN:

  export TOKEN=..."""
_KNOWN = """\
The admin user root has the token that was shown at the first start. For another one:

  export TOKEN=$(registry token create --user root --name console --scope api --quiet)"""


def render(base_url: str, *, made: str | None, given: bool) -> str:
    """The page as text. `made` is the root token if it was made just now; `given`: the operator chose it."""
    api = f"{base_url}/api/v4"
    pypi = f"{api}/projects/1/packages/pypi"
    npm = f"{api}/projects/1/packages/npm"
    parts = urlsplit(pypi)
    kept = _GIVEN if given else _KNOWN
    token = kept if made is None else _MADE.format(token=made)
    return _PAGE.format(
        base=base_url,
        token=token,
        api=api,
        pypi=pypi,
        with_token=f"{parts.scheme}://root:$TOKEN@{parts.netloc}{parts.path}",
        npm=npm,
        npm_key=npm.partition(":")[2],
    )


def token_alone(token: str) -> str:
    """For a start that failed after the token had been made."""
    return _MADE.format(token=token) + "\n"
