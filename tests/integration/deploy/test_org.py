"""`ratoon org` against HTTP servers: scripted ones for trouble, and the gateway itself."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.local import cli
from deploy.local.org import client
from gateway.server import Server, server_for
from tests.gateway_fakes import KEY, ORG, Fakes
from tests.identities import Keyring

Ran = tuple[int, str, str]
SECRET = "dtn_" + "5" * 64


@dataclass
class Script:
    """What a server answers, in order (status, headers, body), and what it was asked."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    act: Callable[[BaseHTTPRequestHandler], None] | None = None

    def says(self, value: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, json.dumps(value).encode()))


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def handle_all(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.asked.append((self.command, self.path, headers, self.rfile.read(length)))
            if script.act is not None:
                script.act(self)
                return
            status, named, body = script.answers.pop(0)
            self.send_response(status)
            for name, value in named.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_all

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_port}/api"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Ran]:
    for name in ("DAYTONA_API_KEY", "DAYTONA_API_URL", "RATOON_URL", "RATOON_ORGANIZATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RATOON_API_KEY", SECRET)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    def run(url: str, *words: str) -> Ran:
        code = cli.main(["org", *words, "--home", str(tmp_path), *(("--url", url) if url else ())])
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err
        return code, said.out, said.err

    return run


REFUSED = {"statusCode": 403, "message": "only an owner may", "code": "OWNER_REQUIRED"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, REFUSED, (5, "only an owner may (OWNER_REQUIRED, HTTP 403)")),
        (401, {"message": "who?"}, (5, "who? (HTTP 401)")),
        (404, {"message": "no such role", "code": "X"}, (4, "no such role (X, HTTP 404)")),
        (409, {"message": ["a", "b"]}, (6, "a, b (HTTP 409)")),
        (412, {"message": "changed"}, (6, "changed (HTTP 412)")),
        (503, "away", (7, "the API gives no reason (HTTP 503)")),
        (400, {"message": "\x1b[2J"}, (1, " [2J (HTTP 400)")),
        (302, {}, (1, "the API gives no reason (HTTP 302)")),
    ],
)
def test_a_refusal_is_said_and_has_its_exit_code(
    script: Script, run: Callable[..., Ran], status: int, body: Any, expected: tuple[int, str]
) -> None:
    script.says(body, status)
    code, out, err = run(script.url, "role", "delete", "r1", "--org", ORG)
    assert (code, out, err) == (expected[0], "", f"ratoon: {expected[1]}\n")


def test_a_limit_says_when_to_come_again(script: Script, run: Callable[..., Ran]) -> None:
    script.says({"message": "too many"}, 429, retry_after="9")
    assert run(script.url, "list")[::2] == (7, "ratoon: too many (HTTP 429, again in 9 s)\n")


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a":'])
def test_what_is_no_json_is_no_answer(script: Script, run: Callable[..., Ran], body: bytes) -> None:
    script.answers.append((200, {"content-type": "text/html"}, body))
    code, out, err = run(script.url, "get", "--org", ORG)
    assert (code, out) == (1, "")
    assert "no JSON (text/html)" in err


@pytest.mark.parametrize("value", [{"a": 1}, "x", None, 7])
def test_what_is_no_list_is_no_list(script: Script, run: Callable[..., Ran], value: Any) -> None:
    script.says(value)
    assert run(script.url, "list")[0] == 1


def test_nobody_listens(run: Callable[..., Ran]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, out, err = run(f"http://127.0.0.1:{taken.getsockname()[1]}/api", "list")
    assert (code, out) == (7, "")
    assert "cannot be reached" in err


def test_without_an_address_the_local_installation_is_asked(run: Callable[..., Ran]) -> None:
    code, _, err = run("", "list")
    assert code == 7
    assert "does not run" in err
    assert "--url" in err


@pytest.mark.parametrize(
    "url", ["ftp://x", "localhost:3986", "http://", "http://a:b@c", "http://x:y"]
)
def test_what_is_no_address_is_wrong_usage(run: Callable[..., Ran], url: str) -> None:
    assert run(url, "list")[0] == 2


def test_an_answer_that_does_not_come_or_does_not_end(
    script: Script, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def never(_: BaseHTTPRequestHandler) -> None:
        ended.wait(20)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not ended.wait(0.02):
                handler.wfile.write(b" ")
                handler.wfile.flush()

    for act in (never, drip):
        script.act = act
        code, _, err = run(script.url, "list", "--timeout", "0.3")
        assert (code, "has not answered within 0.3 s" in err) == (7, True)
    ended.set()
    monkeypatch.setattr(client, "_LARGEST", 1_000)
    script.act = None
    script.says(["x" * 2_000])
    code, _, err = run(script.url, "list")
    assert (code, "larger than" in err) == (1, True)


def test_a_connection_that_breaks(script: Script, run: Callable[..., Ran]) -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"[")

    script.act = broken
    assert run(script.url, "list")[0] == 7
    assert run(script.url, "audit", "export", "--org", ORG)[0] == 7


def test_all_pages_are_walked(script: Script, run: Callable[..., Ran]) -> None:
    script.says([{"id": "1"}, {"id": "2"}], x_next_page_token="t1")
    script.says([{"id": "3"}])
    code, out, _ = run(script.url, "role", "list", "--org", ORG)
    assert (code, [item["id"] for item in json.loads(out)]) == (0, ["1", "2", "3"])
    first, second = (headers for _, _, headers, _ in script.asked)
    assert (first["x-page-size"], "x-page-token" in first) == ("200", False)
    assert second["x-page-token"] == "t1"


def test_a_limit_ends_the_walk(script: Script, run: Callable[..., Ran]) -> None:
    script.says([{"id": "1"}, {"id": "2"}], x_next_page_token="t1")
    script.says([{"id": "3"}, {"id": "4"}], x_next_page_token="t2")
    _, out, _ = run(script.url, "role", "list", "--org", ORG, "--limit", "3")
    assert [item["id"] for item in json.loads(out)] == ["1", "2", "3"]
    assert script.asked[0][2]["x-page-size"] == "3"
    assert script.answers == []


def test_the_audit_log_is_walked_by_its_own_token(script: Script, run: Callable[..., Ran]) -> None:
    script.says({"items": [{"id": "1"}], "total": 2, "nextToken": "a b"})
    script.says({"items": [{"id": "2"}], "total": 2, "nextToken": ""})
    _, out, _ = run(script.url, "audit", "list", "--org", ORG, "--action", "create")
    assert [item["id"] for item in json.loads(out)] == ["1", "2"]
    assert script.asked[0][1].endswith(f"/audit/organizations/{ORG}?action=create&limit=200")
    assert script.asked[1][1].endswith("&nextToken=a+b")


def test_a_walk_in_circles_ends(script: Script, run: Callable[..., Ran]) -> None:
    for token in ("t1", "t2", "t1"):
        script.says([{"id": "1"}], x_next_page_token=token)
    code, _, err = run(script.url, "role", "list", "--org", ORG)
    assert (code, "again and again" in err) == (1, True)


def test_an_export_is_passed_on_as_it_comes(script: Script, run: Callable[..., Ran]) -> None:
    lines = '{"id": "1"}\n{"id": "ü"}\n'
    script.answers.append((200, {}, lines.encode()))
    assert run(script.url, "audit", "export", "--org", ORG) == (0, lines, "")


def test_the_organization_is_found_by_name_or_is_the_only_one(
    script: Script, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    shops = [
        {"id": ORG, "name": "Shop"},
        {"id": "2", "name": "Other"},
        {"id": "3", "name": "Other"},
    ]
    for name, code in (("Shop", 0), ("Other", 2), ("None", 4)):
        script.says(shops)
        script.says({"id": ORG}, etag='"3"')
        assert run(script.url, "get", "--org", name)[0] == code
        script.answers.clear()
    assert [path for _, path, *_ in script.asked] == [
        *("/api/organizations", f"/api/organizations/{ORG}"),
        *("/api/organizations", "/api/organizations"),
    ]
    script.says(shops)
    code, _, err = run(script.url, "get")
    assert (code, f"{ORG} (Shop), 2 (Other)" in err) == (2, True)
    script.says(shops[:1])
    script.says({"id": ORG}, etag='"3"')
    code, out, _ = run(script.url, "get", "--format", "table")
    assert (code, out) == (0, f'id    {ORG}\netag  "3"\n')
    # What cannot be undone is not done to whatever is there.
    assert run(script.url, "delete")[0] == 2
    monkeypatch.setenv("RATOON_ORGANIZATION", ORG)
    script.answers.append((204, {}, b""))
    assert run(script.url, "delete") == (0, "", "")


def test_the_key_comes_from_a_file_or_a_variable_and_is_never_repeated(
    script: Script, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("dtn_file\n")
    script.says([])
    assert run(script.url, "list", "--key-file", str(file))[0] == 0
    assert script.asked[-1][2]["authorization"] == "Bearer dtn_file"
    for content in (b"two words", b"\xff\xfe", b"", "schlüssel".encode()):
        file.write_bytes(content)
        code, _, err = run(script.url, "list", "--key-file", str(file))
        assert code == 2
        assert "two" not in err
        assert "schl" not in err
    assert run(script.url, "list", "--key-file", str(tmp_path / "none"))[0] == 2
    monkeypatch.delenv("RATOON_API_KEY")
    assert run(script.url, "list")[0] == 2
    monkeypatch.setenv("DAYTONA_API_KEY", "dtn_other")
    script.says([])
    assert run(script.url, "list")[0] == 0
    assert script.asked[-1][2]["authorization"] == "Bearer dtn_other"


def test_a_secret_is_shown_once_on_standard_output(script: Script, run: Callable[..., Ran]) -> None:
    script.says({"name": "ci", "value": "dtn_new"}, 201)
    code, out, err = run(script.url, "key", "create", "ci", "--format", "table")
    assert (code, out, err) == (0, "name   ci\nvalue  dtn_new\n", "")
    assert json.loads(script.asked[-1][3]) == {"name": "ci", "permissions": []}


# The gateway itself.


@pytest.fixture
async def api(keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    fakes = Fakes(keyring, tmp_path_factory.mktemp("s"))
    await fakes.start()
    async with fakes.gateway() as (_, app):
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        server: Server = server_for(app)
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/api"
        server.should_exit = True
        await serving
    await fakes.stop()


async def test_the_gateway_is_understood(
    api: str, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATOON_API_KEY", KEY)

    async def ran(*words: str) -> Ran:
        return await asyncio.to_thread(run, api, *words)

    code, out, _ = await ran("list")
    assert (code, json.loads(out)[0]["id"]) == (0, ORG)
    code, out, _ = await ran("get", "--org", ORG, "--format", "table")
    assert (code, out.splitlines()[0].split()) == (0, ["id", ORG])
    code, out, _ = await ran("key", "create", "ci", "--permission", "write:snapshots")
    assert (code, json.loads(out)["value"]) == (0, "dtn_" + "f" * 64)
    assert (await ran("key", "delete", "ci"))[:2] == (0, "")
    code, _, err = await ran("member", "get", "nobody", "--org", str(ORG)[::-1])
    assert code in (4, 5)
    monkeypatch.setenv("RATOON_API_KEY", "dtn_wrong")
    code, _, err = await ran("list")
    assert (code, "CREDENTIAL_INVALID" in err) == (5, True)
