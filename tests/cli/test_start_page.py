"""The start page holds nothing but what can be pasted, with the real address."""

from __future__ import annotations

from registry.cli import start_page


def test_every_address_is_the_real_one() -> None:
    page = start_page.render("https://packages.example:8443", made="glpat-new", given=False)
    lines = [line.strip() for line in page.splitlines()]
    assert "The registry answers at https://packages.example:8443" == lines[0]
    assert "export TOKEN=glpat-new" in lines
    assert (
        'curl --header "PRIVATE-TOKEN: $TOKEN" --data "name=demo" https://packages.example:8443/api/v4/projects'
        in lines
    )
    project = "packages.example:8443/api/v4/projects/1/packages"
    assert f"pip     pip install --index-url https://root:$TOKEN@{project}/pypi/simple NAME" in lines
    assert f"npm     npm config set @demo:registry=https://{project}/npm/" in lines
    assert f"npm config set -- //{project}/npm/:_authToken=$TOKEN" in lines
    assert f"uv      uv publish --username root --password $TOKEN --publish-url https://{project}/pypi" in lines


def test_a_token_the_operator_chose_is_not_repeated() -> None:
    page = start_page.render("http://127.0.0.1:8080", made=None, given=True)
    assert "The admin user root has the token in REGISTRY_ROOT_TOKEN:" in page
    assert "glpat-" not in page


def test_later_starts_say_how_to_get_another_token() -> None:
    page = start_page.render("http://127.0.0.1:8080", made=None, given=False)
    assert "registry token create --user root --name console --scope api --quiet" in page
