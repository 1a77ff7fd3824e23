"""`ratoon org`: every command goes where there is something, takes what it needs, and says what it was given."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from deploy.local import cli
from deploy.local.org.command import ORGANIZATION, Command, parameters
from deploy.local.org.commands import COMMANDS, NOUNS
from deploy.local.org.failures import Refused, of_status
from deploy.local.org.output import as_json, as_table
from deploy.local.org.request import build
from deploy.local.parser import parser

ORG = "6b0f24b1-7b1f-4b7e-9a52-0c2f0f0a1b2c"
# What this API has beyond the published one.
ADDED = {
    "PATCH /organizations/{}",
    "GET /organizations/{}/roles/{}",
    "GET /organizations/{}/users/{}",
    "POST /organizations/{}/service-accounts",
    "POST /organizations/{}/service-accounts/{}/api-keys",
    "GET /organizations/{}/service-accounts/{}/api-keys",
    "POST /organizations/{}/invitations/{}/resend",
    "PATCH /api-keys/{}",
    "PATCH /api-keys/{}/{}",
    "POST /api-keys/{}/rotate",
    "POST /api-keys/{}/{}/rotate",
    "GET /audit/organizations/{}/export",
}
WANTED = {
    *("list", "get", "create", "rename", "delete", "leave", "usage", "set-region", "suspend"),
    *("unsuspend", "quota show", "quota set", "quota set-region"),
    *(f"member {verb}" for verb in ("list", "get", "set-access", "remove")),
    *(f"role {verb}" for verb in ("list", "get", "create", "update", "delete")),
    *(f"invitation {v}" for v in ("list", "create", "update", "cancel", "resend")),
    *(f"invitation {verb}" for verb in ("mine", "accept", "decline")),
    *(f"key {verb}" for verb in ("list", "create", "update", "rotate", "delete")),
    *(f"service-account {verb}" for verb in ("create", "key-create", "key-list")),
    *(f"region {v}" for v in ("list", "get", "create", "update", "delete", "regenerate")),
    *("audit list", "audit export"),
}


def _there_is() -> set[str]:
    assert gateway.__file__ is not None
    lines = Path(gateway.__file__).with_name("published.txt").read_text().splitlines()
    return ADDED | {re.sub(r"\{\w+\}", "{}", line) for line in lines}


def _ways(command: Command) -> set[str]:
    """Return every method and path that a command may go to."""
    ways = set()
    for path in command.paths:
        paths = [path]
        for argument in command.arguments:
            if argument.choices and argument.place == "path":
                paths = [
                    p.replace(f"{{{argument.name}}}", c) for p in paths for c in argument.choices
                ]
        method = "GET" if path in command.also else command.method
        ways |= {re.sub(r"\{\w+\}", "{}", f"{method} {p}") for p in paths}
    return ways


def test_the_table_is_complete() -> None:
    words = [command.words for command in COMMANDS]
    assert len(words) == len(set(words))
    assert set(words) == WANTED
    assert {command.noun for command in COMMANDS if command.noun} == set(NOUNS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.words)
def test_a_command_goes_where_there_is_something(command: Command) -> None:
    assert _ways(command) <= _there_is()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.words)
def test_a_command_knows_every_part_of_its_path(command: Command) -> None:
    known = {a.name for a in command.arguments if a.place == "path"} | {"organizationId"}
    known |= {a.name for a in command.arguments if a.flag == "NAME"}
    for path in command.paths:
        assert set(parameters(path)) <= known | ({"userId"} if path == command.of_user else set())
    assert not (command.by_header and ORGANIZATION in command.path)
    assert not command.pages or command.method == "GET"
    assert not command.creates or command.method == "POST"


def parse(*words: str) -> tuple[Command, argparse.Namespace]:
    parsed = parser().parse_args(["org", *words])
    return parsed.org_command, parsed


def request(*words: str, organization: str = ORG) -> tuple[str, str, Any, Any, Any]:
    asked = build(*parse(*words), organization)
    return asked.method, asked.path, dict(asked.query), asked.body, dict(asked.headers)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("list", ("GET", "/organizations", {}, None, {})),
        ("get", ("GET", f"/organizations/{ORG}", {}, None, {})),
        (
            "create Shop --region eu --idempotency-key k1",
            (
                *("POST", "/organizations", {}),
                {"name": "Shop", "defaultRegionId": "eu"},
                {"idempotency-key": "k1"},
            ),
        ),
        (
            "rename New --if-match 3",
            ("PATCH", f"/organizations/{ORG}", {}, {"name": "New"}, {"if-match": '"3"'}),
        ),
        ("suspend", ("POST", f"/organizations/{ORG}/suspend", {}, {}, {})),
        ("leave", ("POST", f"/organizations/{ORG}/leave", {}, None, {})),
        (
            "quota set --snapshot-quota 5 --authenticated-rate-limit none",
            (
                *("PATCH", f"/organizations/{ORG}/quota", {}),
                {"snapshotQuota": 5, "cleared": ["authenticatedRateLimit"]},
                {},
            ),
        ),
        (
            "quota set-region eu --total-cpu-quota 9",
            ("PATCH", f"/organizations/{ORG}/quota/eu", {}, {"totalCpuQuota": 9}, {}),
        ),
        (
            "member set-access auth0|x --role member --role-id a --role-id b",
            (
                *("POST", f"/organizations/{ORG}/users/auth0%7Cx/access", {}),
                {"role": "member", "assignedRoleIds": ["a", "b"]},
                {},
            ),
        ),
        (
            "invitation create a@b.c --role owner",
            (
                *("POST", f"/organizations/{ORG}/invitations", {}),
                {"email": "a@b.c", "role": "owner", "assignedRoleIds": []},
                {},
            ),
        ),
        (
            "invitation accept i1",
            ("POST", "/organizations/invitations/i1/accept", {}, None, {}),
        ),
        (
            "key list --unused-for-days 30",
            (
                *("GET", "/api-keys", {"unusedForDays": 30}, None),
                {"x-daytona-organization-id": ORG},
            ),
        ),
        (
            "key update a/b --expires-at none",
            (
                *("PATCH", "/api-keys/a%2Fb", {}, {"expiresAt": None}),
                {"x-daytona-organization-id": ORG},
            ),
        ),
        (
            "key rotate ci --user u1 --overlap-seconds 60",
            (
                *("POST", "/api-keys/u1/ci/rotate", {}, {"overlapSeconds": 60}),
                {"x-daytona-organization-id": ORG},
            ),
        ),
        (
            "region regenerate r1 proxy-api-key",
            (
                *("POST", "/regions/r1/regenerate-proxy-api-key", {}, None),
                {"x-daytona-organization-id": ORG},
            ),
        ),
        (
            "service-account key-create a1 ci --permission write:snapshots",
            (
                *("POST", f"/organizations/{ORG}/service-accounts/a1/api-keys", {}),
                {"name": "ci", "permissions": ["write:snapshots"]},
                {},
            ),
        ),
        (
            "audit export --from 2026-01-01 --action create",
            (
                *("GET", f"/audit/organizations/{ORG}/export"),
                {"from": "2026-01-01", "action": "create"},
                *(None, {}),
            ),
        ),
    ],
)
def test_a_command_asks_for_what_it_was_given(words: str, expected: Any) -> None:
    assert request(*words.split()) == expected


@pytest.mark.parametrize(
    "words",
    [
        "",
        "fly",
        "member",
        "create Shop",
        "list --limit 0",
        "list --limit x",
        "list --format xml",
        "list --timeout 0",
        "rename New --if-match \x00",
        "create Shop --region eu --idempotency-key é",
        "member set-access u --role boss",
        "role create --name x --description y",
        "region regenerate r1 everything",
        "quota set --snapshot-quota many",
        "quota set --snapshot-quota none",
        "key create --key dtn_x",
    ],
)
def test_wrong_usage_is_exit_code_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["org", *words.split()])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["quota set", "key update ci", "region update r1"])
def test_a_change_of_nothing_is_wrong_usage(words: str) -> None:
    with pytest.raises(Refused, match="nothing is given") as refused:
        request(*words.split())
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_path_cannot_be_left(name: str) -> None:
    with pytest.raises(Refused, match="names nothing"):
        request("key", "delete", name)


@given(st.text(min_size=1))
def test_a_name_is_one_segment_of_the_path(name: str) -> None:
    if name.strip(".") == "" or not name.isprintable() or name.startswith("-"):
        return
    _, path, *_ = request("key", "delete", "--", name)
    assert path.startswith("/api-keys/")
    assert re.fullmatch(r"/api-keys/[\w%~.!-]+", path, re.ASCII)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((400, 1), (401, 5), (403, 5), (404, 4), (409, 6), (412, 6), (429, 7), (500, 1)),
        *((501, 1), (502, 7), (503, 7), (504, 7), (302, 1)),
    ],
)
def test_exit_codes(status: int, code: int) -> None:
    assert of_status(status, {"message": "why", "code": "WHY"}, "").exit_code == code


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "taken", "code": "NAME_TAKEN"}, "taken (NAME_TAKEN, HTTP 409)"),
        ({"message": ["a", "b"]}, "a, b (HTTP 409)"),
        ({"message": {"x": 1}, "code": 7}, "{'x': 1} (HTTP 409)"),
        ({"message": "\x1b[2Jgone\n"}, " [2Jgone  (HTTP 409)"),
        (None, "the API gives no reason (HTTP 409)"),
        ([], "the API gives no reason (HTTP 409)"),
        ({}, "the API gives no reason (HTTP 409)"),
    ],
)
def test_what_is_said_of_a_refusal(body: Any, said: str) -> None:
    assert str(of_status(409, body, "")) == said


def test_a_limit_says_when_to_come_again() -> None:
    assert str(of_status(429, None, "17")).endswith("(HTTP 429, again in 17 s)")
    assert str(of_status(429, None, "soon")).endswith("(HTTP 429)")


def _command(words: str) -> Command:
    return next(command for command in COMMANDS if command.words == words)


def test_a_table() -> None:
    members = [
        {"userId": "u1", "name": "Ada", "role": "owner", "assignedRoles": []},
        {"userId": "u2", "name": "\x1b[31mEve", "assignedRoles": [{"name": "A"}, {"name": "B"}]},
    ]
    assert as_table(_command("member list"), members).splitlines() == [
        "user id  name      email  role   assigned roles  created at",
        "u1       Ada       -      owner  -               -",
        "u2        [31mEve  -      -      A, B            -",
    ]
    assert as_table(_command("member list"), []).startswith("user id")


def test_one_thing_and_what_stands_below_it() -> None:
    usage = {
        "totalSnapshotQuota": 30,
        "regionUsage": [{"regionId": "eu", "totalCpuQuota": 10, "maxCpuPerSandbox": None}],
    }
    assert as_table(_command("usage"), usage).splitlines() == [
        *("total snapshot quota  30", "", "region usage:"),
        "region id  total cpu quota  max cpu per sandbox",
        "eu         10               -",
    ]
    assert as_table(_command("get"), {"personal": True, "x": {"a": [1]}}).splitlines() == [
        "personal  yes",
        'x         {"a":[1]}',
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=VALUES)
def test_nothing_that_is_printed_steers_a_terminal(value: Any) -> None:
    for words in ("get", "list", "usage"):
        table = as_table(_command(words), value)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", table)
    text = as_json(value)
    assert json.loads(text) == value
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
