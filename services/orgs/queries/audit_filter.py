"""The conditions of an audit filter in SQL; values are always bound."""

from typing import Any
from uuid import UUID

from services.orgs.domain import uuid_of
from services.orgs.domain.audit import Comparison, Filter, TextCondition

_MANY = (Comparison.IN, Comparison.NOT_IN)


def conditions(filter_: Filter, *, first: int) -> tuple[list[str], list[Any]]:
    """Return the conditions on `r` and their values, the first of which is the parameter numbered so."""
    values: list[Any] = []

    def bind(value: Any, type_: str) -> str:
        values.append(value)
        return f"${first + len(values) - 1}::{type_}"

    said = [f"r.created_at {m.comparison} {bind(m.at, 'timestamptz')}" for m in filter_.moments]
    for text in filter_.texts:
        comparison = Comparison.NOT_IN if text.negated else Comparison.IN
        if text.field == "id":
            said.append(f"r.id {comparison} ({bind(_ids(text), 'uuid[]')})")
        else:
            said.append(f"r.{text.field} {comparison} ({bind(list(text.values), 'text[]')})")
    for number in filter_.status_codes:
        if number.comparison in _MANY:
            bound = f"({bind(list(number.values), 'integer[]')})"
        else:
            bound = bind(number.values[0], "integer")
        said.append(f"r.status_code {number.comparison} {bound}")
    return said, values


def _ids(condition: TextCondition) -> list[UUID]:
    """Return the ids among the values; anything else is no record's id."""
    return [id_ for id_ in map(uuid_of, condition.values) if id_ is not None]
