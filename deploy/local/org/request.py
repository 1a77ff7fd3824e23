"""From a command and its arguments to what is asked of the API, page by page."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from deploy.local.org.client import Answer, Api, Request
from deploy.local.org.command import ORGANIZATION, Command, Null
from deploy.local.org.failures import FAILED, USAGE, Refused

_PAGE = 200


def build(command: Command, parsed: argparse.Namespace, organization: str) -> Request:
    """Return the request; of a command that changes something nothing may be left to change."""
    given = {
        (argument.place, argument.name): value
        for argument in command.arguments
        if (value := getattr(parsed, argument.dest)) is not None
    }
    user = getattr(parsed, "user", None)
    # Who is named by options stands in the path like what is named by arguments.
    values = {"organizationId": organization, "userId": user or ""}
    values |= {name: value for (place, name), value in given.items() if place == "path"}
    body = _body({n: value for (place, n), value in given.items() if place == "body"}, command)
    if command.method == "PATCH" and not body:
        raise Refused("nothing is given that shall be changed", USAGE)
    return Request(
        method=command.method,
        path=_filled(command.of_user if user else command.path, values),
        query={name: value for (place, name), value in given.items() if place == "query"},
        body=body if command.method != "GET" and _has_body(command) else None,
        headers=_headers(command, parsed, organization),
    )


def ask(api: Api, command: Command, request: Request, limit: int | None) -> Answer:
    """Return the answer: of a list all its pages, up to the limit; of an object all its parts."""
    if command.pages:
        items: list[Any] = []
        for page in _pages(api, command, request, limit):
            items += page
            if limit is not None and len(items) >= limit:
                break
        return Answer(items[:limit], {})
    answer = api.ask(request)
    if not command.also or not isinstance(answer.value, dict):
        return answer
    value = dict(answer.value)
    for template in command.also:
        path = template.replace(ORGANIZATION, request.path.rsplit("/", 1)[-1])
        more = api.ask(replace(request, path=path)).value
        value |= more if isinstance(more, dict) else {}
    return Answer(value, answer.headers)


def _pages(api: Api, command: Command, request: Request, limit: int | None) -> Iterator[list[Any]]:
    size = _PAGE if limit is None else min(_PAGE, limit)
    seen = {""}
    token = ""
    while True:
        answer = api.ask(_page(command, request, size, token))
        value = answer.value
        if command.items:
            token = str(value.get("nextToken") or "") if isinstance(value, dict) else ""
            value = value.get(command.items) if isinstance(value, dict) else None
        else:
            token = answer.headers.get("x-next-page-token", "")
        if not isinstance(value, list):
            raise Refused("the answer is no list: is this the address of the API?", FAILED)
        yield value
        if not token:
            return
        if token in seen:
            raise Refused("the API answers the same page again and again", FAILED)
        seen.add(token)


def _page(command: Command, request: Request, size: int, token: str) -> Request:
    if command.items:
        more = {"nextToken": token} if token else {}
        return replace(request, query={**request.query, "limit": size, **more})
    headers = {"x-page-size": str(size)} | ({"x-page-token": token} if token else {})
    return replace(request, headers={**request.headers, **headers})


def _filled(template: str, values: dict[str, Any]) -> str:
    path = template
    for name, value in values.items():
        text = str(value)
        if f"{{{name}}}" not in path:
            continue
        # Dots alone would be taken for another place by whatever is in between.
        if text.strip(".") == "":
            raise Refused(f"{text!r} names nothing", USAGE)
        path = path.replace(f"{{{name}}}", quote(text, safe=""))
    return path


def _headers(command: Command, parsed: argparse.Namespace, organization: str) -> dict[str, str]:
    headers = {}
    if command.by_header and organization:
        headers["x-daytona-organization-id"] = organization
    if command.creates and parsed.idempotency_key:
        headers["idempotency-key"] = parsed.idempotency_key
    if command.conditional and parsed.if_match:
        etag = parsed.if_match
        headers["if-match"] = f'"{etag}"' if etag.isdigit() else etag
    return headers


def _has_body(command: Command) -> bool:
    return any(argument.place == "body" for argument in command.arguments)


def _body(given: dict[str, Any], command: Command) -> dict[str, Any]:
    body = {name: value for name, value in given.items() if not isinstance(value, Null)}
    cleared = [name for name, value in given.items() if isinstance(value, Null)]
    if command.cleared:
        return body | ({command.cleared: cleared} if cleared else {})
    return body | dict.fromkeys(cleared)
