import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from tests.clients import corpus, packing, toolbox
from tests.clients.corpus import CorpusFile
from tests.clients.process import Client, Result, run

pytestmark = pytest.mark.client

FindClient = Callable[[str], Client]
JSON_FIRST = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


@pytest.mark.parametrize("name", toolbox.NAMES)
def test_a_client_is_of_the_pinned_version(find_client: FindClient, name: str, tmp_path: Path) -> None:
    client = find_client(name)

    result = run(client, "--version", cwd=tmp_path)

    assert (0, client.version) == (result.code, _version_in(result.stdout))


def _version_in(text: str) -> str:
    found = re.search(r"\d+\.\d+\.?\d*", text)
    return found[0] if found else text


@pytest.mark.parametrize(
    ("name", "accept"),
    [
        ("pip", JSON_FIRST),
        ("pip-23.0", JSON_FIRST),
        ("pip-22.1", "text/html"),
        ("pip-19.2", "text/html"),
        ("pip-18.1", "text/html"),
    ],
)
async def test_each_pip_asks_for_the_pages_it_was_chosen_for(
    find_client: FindClient, aiohttp_server: AiohttpServer, tmp_path: Path, name: str, accept: str
) -> None:
    pip = find_client(name)
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Accept")))
        return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    index = str((await aiohttp_server(app)).make_url("/simple"))

    arguments = ("download", "--disable-pip-version-check", "--index-url", index, "no-such-project")
    result = await asyncio.to_thread(run, pip, *arguments, cwd=tmp_path)

    assert (1, [("/simple/no-such-project/", accept)]) == (result.code, asked)


@pytest.mark.parametrize("name", ["pip", "pip-23.0", "pip-22.1"])
def test_pip_looks_where_the_settings_in_its_home_say_and_nowhere_else(
    find_client: FindClient, home: Path, tmp_path: Path, name: str
) -> None:
    settings = home / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text("[global]\nindex-url = http://127.0.0.1:1/simple\nretries = 0\n")

    result = run(find_client(name), "download", "no-such-project", cwd=tmp_path, home=home)

    looking = [line for line in result.stdout.splitlines() if line.startswith("Looking in")]
    assert (result.code, looking) == (1, ["Looking in indexes: http://127.0.0.1:1/simple"])


def test_pip_installs_into_a_virtual_environment_of_the_test(find_client: FindClient, tmp_path: Path) -> None:
    python = toolbox.virtual_environment(tmp_path / "venv")
    wheel = tmp_path / "made_epoch-1!2.0-py3-none-any.whl"
    wheel.write_bytes(packing.MADE[wheel.name]())

    installed = run(find_client("pip"), "--python", python, "install", "--no-index", wheel, cwd=tmp_path)
    imported = run(
        Client("python", "", (str(python),)), "-c", "import made_epoch; print(made_epoch.__version__)", cwd=tmp_path
    )

    assert (installed.code, installed.stderr) == (0, "")
    assert imported == Result(0, "1!2.0\n", "")


def test_nothing_of_the_machine_reaches_a_client(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "NPM_CONFIG_REGISTRY", "npm_config_registry", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "inherited")
    monkeypatch.setenv("HTTPS_PROXY", "inherited")

    result = run(Client("env", "", ("env",)), cwd=tmp_path, home=home, env={"ADDED": "by the test"})

    seen = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert (0, "by the test", str(home)) == (result.code, seen["ADDED"], seen["HOME"])
    assert {"http://127.0.0.1:9"} == {seen[name] for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")}
    assert os.devnull == seen["PIP_CONFIG_FILE"]
    assert "inherited" not in result.text


def test_a_run_without_a_home_leaves_nothing_behind(tmp_path: Path) -> None:
    result = run(Client("shell", "", ("sh", "-c", 'echo "$HOME" && echo kept > "$HOME/file"')), cwd=tmp_path)

    assert (result.code, result.stderr) == (0, "")
    assert not Path(result.stdout.strip()).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_result_has_the_code_and_both_streams(tmp_path: Path) -> None:
    assert Result(3, "out\n", "err\n") == run(
        Client("shell", "", ("sh", "-c", "echo out; echo err >&2; exit 3")), cwd=tmp_path
    )


def test_a_client_past_its_deadline_is_killed_with_its_children(tmp_path: Path) -> None:
    shell = Client("shell", "", ("sh", "-c", "sleep 600 & echo $!; wait"))

    with pytest.raises(TimeoutError, match=r"shell was still running after 0\.5 s") as raised:
        run(shell, cwd=tmp_path, timeout=0.5)

    child = int(str(raised.value).splitlines()[-1])
    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(child)


def _is_running(process: int) -> bool:
    """Whether a process exists and is not merely waiting for its parent to read its exit code."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return state.stdout.strip() not in ("", "Z")


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["elsewhere", "CI"]
)
def test_a_missing_client_fails_under_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, find_client: FindClient, tmp_path: Path, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(toolbox, "VENVS", tmp_path)

    with pytest.raises(outcome, match=r"^the client twine is not installed: run `python tests/clients/toolbox.py`$"):
        find_client("twine")


def test_a_second_installer_waits_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toolbox.ROOT)
    script = "from tests.clients import toolbox\nprint('asks', flush=True)\nwith toolbox.locked(): print('enters')"

    with toolbox.locked():
        second = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.3)
    output, _ = second.communicate(timeout=20)
    assert (second.returncode, output) == (0, "enters\n")


@pytest.mark.parametrize("file", corpus.FILES, ids=str)
def test_a_corpus_file_is_the_pinned_one(corpus_path: Callable[[CorpusFile], Path], file: CorpusFile) -> None:
    content = corpus_path(file).read_bytes()

    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_what_is_made_here_is_the_same_everywhere() -> None:
    pinned = {file.file_name: file.sha256 for file in corpus.FILES if file.source == "made"}

    assert pinned == {name: hashlib.sha256(make()).hexdigest() for name, make in packing.MADE.items()}


def test_the_corpus_is_large_enough_and_names_each_file_once() -> None:
    names = [file.file_name for file in corpus.FILES]

    assert sorted(set(names)) == sorted(names)
    assert len(corpus.files("pypi", role="odd")) >= 16
    assert len(corpus.files("npm", role="odd")) >= 14
    assert {"six", "idna", "attrs"} == {file.name for file in corpus.files("pypi", role="road")}
    assert all(file.why for file in corpus.FILES)


def test_every_locked_package_has_a_digest_and_no_address() -> None:
    for client in (*toolbox.PYTHON_CLIENTS.values(), *toolbox.TOOLS.values()):
        requirements = re.sub(r"\\\n", "", client.lock.read_text()).splitlines()
        assert all(re.fullmatch(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in requirements)
    packages = json.loads(toolbox.NODE_LOCK.read_bytes())["packages"]
    nested = {path: package for path, package in packages.items() if path and not package.get("inBundle")}
    assert all(package["integrity"].startswith("sha512-") for package in nested.values())
    assert all("resolved" not in package for package in packages.values())


def test_no_file_here_names_an_index() -> None:
    hosts = [
        ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
    ]
    ignored = {"node_modules", ".cache", "__pycache__"}
    texts = [path for path in toolbox.HERE.rglob("*") if path.is_file() and ignored.isdisjoint(path.parts)]

    assert [path for path in texts if any(host in path.read_text() for host in hosts)] == []
