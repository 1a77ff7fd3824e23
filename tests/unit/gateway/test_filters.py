"""Filters in a query: what is written means what it says, or is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Problem
from gateway.filters import MOST_VALUES, TEXTS, filter_of
from ratoon.orgs.v1 import audit_service_pb2 as pb

_OPERATORS = ("", "[eq]", "[not]", "[in]", "[notIn]", "[in][]", "[in][3]", "[gte]", "[x]", "[]")
_NAMES = st.builds(
    lambda name, operator: name + operator,
    st.sampled_from((*TEXTS, "statusCode", "createdAt", "other")),
    st.sampled_from(_OPERATORS),
)
_VALUES = st.one_of(
    st.text(max_size=8), st.integers(-9, 999).map(str), st.datetimes().map(datetime.isoformat)
)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
def test_any_query_is_a_filter_or_is_refused(query: list[tuple[str, str]]) -> None:
    refused = None
    try:
        filter_of(query, None, None)
    except Problem as problem:
        refused = problem
    assert refused is None or (refused.status, refused.code) == (400, "FILTER_INVALID")


@given(
    st.lists(st.tuples(st.sampled_from(["gte", "lte", "gt", "lt"]), st.datetimes()), max_size=5),
    st.one_of(st.none(), st.datetimes()),
    st.one_of(st.none(), st.datetimes()),
    st.datetimes(),
)
def test_of_many_bounds_all_hold(
    bounds: list[tuple[str, datetime]],
    since: datetime | None,
    until: datetime | None,
    at: datetime,
) -> None:
    query = [(f"createdAt[{operator}]", moment.isoformat()) for operator, moment in bounds]
    since, until = (m and m.replace(tzinfo=UTC) for m in (since, until))
    made = filter_of(query, since, until)
    compare = {
        "gte": at.__ge__,
        "lte": at.__le__,
        "gt": at.__gt__,
        "lt": at.__lt__,
    }
    expected = all(compare[operator](moment) for operator, moment in bounds)
    at = at.replace(tzinfo=UTC)
    expected = expected and (since is None or at >= since) and (until is None or at <= until)
    assert _within(made, at) == expected


def _within(filter_: pb.AuditFilter, at: datetime) -> bool:
    def moment(name: str) -> datetime:
        found: datetime = getattr(filter_, name).ToDatetime(UTC)
        return found

    set_ = [field.name for field, _ in filter_.ListFields()]
    return (
        ("from_time" not in set_ or at >= moment("from_time"))
        and ("to_time" not in set_ or at <= moment("to_time"))
        and ("after_time" not in set_ or at > moment("after_time"))
        and ("before_time" not in set_ or at < moment("before_time"))
    )


def test_lists_are_joined_and_single_values_must_all_hold() -> None:
    query = [
        ("action[in]", "a,b"),
        ("action[in][]", "c"),
        ("action[notIn]", "d"),
        ("action", "a,b"),
        ("action[eq]", "e"),
    ]
    made = filter_of(query, None, None)
    assert [(list(c.values), c.negated) for c in made.texts] == [
        (["a", "b", "c"], False),
        (["d"], True),
        (["a,b"], False),
        (["e"], False),
    ]


def test_there_are_not_too_many_values() -> None:
    filter_of([("statusCode[in]", "1")] * MOST_VALUES, None, None)
    with pytest.raises(Problem, match="at most"):
        filter_of([("statusCode[in]", "1")] * (MOST_VALUES + 1), None, None)


def test_moments_have_offsets_or_are_utc() -> None:
    for text in ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00", "2026-01-01"):
        made = filter_of([("createdAt[gte]", text)], None, None)
        assert made.from_time.ToDatetime(UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    beyond = (datetime.max - timedelta(hours=1)).isoformat() + "-05:00"
    with pytest.raises(Problem, match="ISO 8601"):
        filter_of([("createdAt[gte]", beyond)], None, None)
