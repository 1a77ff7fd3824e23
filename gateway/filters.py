"""Filters in a query, such as `actorId[in]=a,b`, `statusCode[gte]=400` or `createdAt[lt]=2026-01-01T00:00:00Z`."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic.alias_generators import to_snake

from gateway.errors import Problem
from ratoon.orgs.v1 import audit_service_pb2 as pb

TEXTS = (
    *("id", "actorId", "actorEmail", "actorApiKeyPrefix", "actorApiKeySuffix"),
    *("action", "targetType", "targetId"),
)
NUMBER, MOMENT = "statusCode", "createdAt"
MOST_VALUES = 100
# A list may be repeated with or without brackets behind, as clients write it.
_PARAMETER = re.compile(rf"({'|'.join((*TEXTS, NUMBER, MOMENT))})(?:\[(\w*)\](?:\[\d*\])?)?")
_LISTS = ("in", "notIn")
_COMPARISONS = {
    "eq": pb.COMPARISON_IN,
    "in": pb.COMPARISON_IN,
    "not": pb.COMPARISON_NOT_IN,
    "notIn": pb.COMPARISON_NOT_IN,
    "gte": pb.COMPARISON_AT_LEAST,
    "lte": pb.COMPARISON_AT_MOST,
    "gt": pb.COMPARISON_MORE,
    "lt": pb.COMPARISON_LESS,
}
_OF_TEXTS = ("eq", "not", *_LISTS)
_Bounds = dict[str, datetime]


def filter_of(
    query: Iterable[tuple[str, str]], since: datetime | None, until: datetime | None
) -> pb.AuditFilter:
    """Return what is asked for; `since` and `until` are the published names of two bounds.

    Refused with FILTER_INVALID.
    """
    asked: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, value in query:
        if found := _PARAMETER.fullmatch(name):
            asked[found[1], "eq" if found[2] is None else found[2]].append(value)
    filter_, bounds = pb.AuditFilter(), _Bounds()
    for bound, moment in (("gte", since), ("lte", until)):
        if moment is not None:
            _narrow(bounds, bound, moment)
    for (field, operator), values in asked.items():
        if field == MOMENT:
            _add_moments(bounds, operator, values)
        elif field == NUMBER:
            filter_.status_codes.extend(_numbers(operator, values))
        else:
            filter_.texts.extend(_texts(field, operator, values))
    for bound, moment in bounds.items():
        _BOUNDS[bound](filter_).FromDatetime(moment)
    return filter_


_BOUNDS: dict[str, Callable[[pb.AuditFilter], Any]] = {
    "gte": lambda f: f.from_time,
    "lte": lambda f: f.to_time,
    "gt": lambda f: f.after_time,
    "lt": lambda f: f.before_time,
}


def _texts(field: str, operator: str, values: list[str]) -> Iterable[pb.TextCondition]:
    if operator not in _OF_TEXTS:
        raise _invalid(f"{field}: no such operator")
    negated = operator.startswith("not")
    for group in _groups(field, operator, values):
        yield pb.TextCondition(field=to_snake(field), values=group, negated=negated)


def _numbers(operator: str, values: list[str]) -> Iterable[pb.NumberCondition]:
    if operator not in _COMPARISONS:
        raise _invalid(f"{NUMBER}: no such operator")
    for group in _groups(NUMBER, operator, values):
        numbers = [_number(value) for value in group]
        yield pb.NumberCondition(comparison=_COMPARISONS[operator], values=numbers)


def _groups(field: str, operator: str, values: list[str]) -> Iterable[list[str]]:
    """Yield the values of each condition: all of a list are one, of the others each is one."""
    if operator in _LISTS:
        values = [part for value in values for part in value.split(",")]
    if len(values) > MOST_VALUES:
        raise _invalid(f"{field}: at most {MOST_VALUES} values")
    if operator in _LISTS:
        return [values]
    return [[value] for value in values]


def _number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise _invalid(f"{NUMBER}: a whole number is expected")
    return int(text)


def _add_moments(bounds: _Bounds, operator: str, values: list[str]) -> None:
    if operator not in _BOUNDS:
        raise _invalid(f"{MOMENT}: no such operator")
    for value in values:
        try:
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            _narrow(bounds, operator, moment.astimezone(UTC))
        except (ValueError, OverflowError):
            raise _invalid(f"{MOMENT}: an ISO 8601 date is expected") from None


def _narrow(bounds: _Bounds, bound: str, moment: datetime) -> None:
    """All that is given must hold: of two bounds of a kind the narrower counts."""
    narrower = max if bound.startswith("g") else min
    bounds[bound] = narrower(bounds.get(bound, moment), moment)


def _invalid(message: str) -> Problem:
    return Problem(400, "FILTER_INVALID", message)


def _parameter(name: str, operators: Iterable[str], value: dict[str, Any]) -> dict[str, Any]:
    """Document one filter: an object of operators, or the value that must be there."""
    lists = {"type": "array", "items": value, "maxItems": MOST_VALUES}
    properties = {o: lists if o in _LISTS else value for o in operators}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {
        "name": name,
        "in": "query",
        "required": False,
        "style": "deepObject",
        "explode": True,
        "description": f"`{name}[operator]=value`; all that is given must hold",
        "schema": schema,
    }


_TEXT, _WHOLE = {"type": "string"}, {"type": "integer"}
_DATE = {"type": "string", "format": "date-time"}
PARAMETERS = [
    *(_parameter(name, _OF_TEXTS, _TEXT) for name in TEXTS),
    _parameter(NUMBER, _COMPARISONS, _WHOLE),
    _parameter(MOMENT, _BOUNDS, _DATE),
]
