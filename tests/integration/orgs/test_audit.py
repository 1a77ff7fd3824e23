"""The audit log as it is read: pages, totals, tokens and filters agree with a model; the export with the list."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.grpc.wire import to_timestamp
from ratoon.orgs.v1 import audit_pb2
from ratoon.orgs.v1 import audit_service_pb2 as pb
from ratoon.orgs.v1.audit_service_pb2_grpc import AuditServiceStub
from services.orgs.commands import audit
from services.orgs.queries import audit as queries
from services.orgs.queries.audit import EVERYBODY
from tests.integration.orgs.conftest import House, refusal

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stub(house: House) -> AuditServiceStub:
    return AuditServiceStub(house.channel)


def a_record(organization_id: str, at: datetime = START, **more: Any) -> audit_pb2.AuditRecord:
    said = {"action": "delete", "target_type": "organization", "status_code": 403, **more}
    return audit_pb2.AuditRecord(
        id=said.pop("id", str(uuid4())),
        create_time=to_timestamp(at),
        organization_id=organization_id,
        **said,
    )


async def record(house: House, *records: audit_pb2.AuditRecord) -> None:
    await stub(house).RecordRefusals(
        pb.RecordRefusalsRequest(records=records), metadata=house.as_machine("gateway")
    )


def reader(house: House, organization_id: str) -> Any:
    return house.as_user(
        "user|reader", organization_id, "member", permissions=frozenset({"read:audit_logs"})
    )


async def page(house: House, organization_id: str, **asked: Any) -> pb.ListAuditRecordsResponse:
    request = pb.ListAuditRecordsRequest(
        organization_id=organization_id, **{"page_size": 200, **asked}
    )
    return await stub(house).ListAuditRecords(request, metadata=reader(house, organization_id))


async def exported(
    house: House, organization_id: str, filter_: pb.AuditFilter | None = None
) -> list[audit_pb2.AuditRecord]:
    request = pb.ExportAuditRecordsRequest(organization_id=organization_id, filter=filter_)
    stream = stub(house).ExportAuditRecords(request, metadata=reader(house, organization_id))
    return [r async for answer in stream for r in answer.records]


def ids(records: Sequence[audit_pb2.AuditRecord]) -> list[str]:
    return [r.id for r in records]


def newest_first(records: Sequence[audit_pb2.AuditRecord]) -> list[str]:
    def place(r: audit_pb2.AuditRecord) -> tuple[int, UUID]:
        return r.create_time.ToMilliseconds(), UUID(r.id)

    return ids(sorted(records, key=place, reverse=True))


async def counts(house: House) -> list[tuple[Any, ...]]:
    """Return the counters that are wrong, were everything counted anew."""
    rows = await house.database.pool.fetch(
        """
        WITH truth AS (
            SELECT o.id AS organization_id, s.span, s.start, count(*) AS records
            FROM audit_records AS r,
                LATERAL (VALUES ('00000000-0000-0000-0000-000000000000'::uuid), (r.organization_id)) AS o (id),
                LATERAL (VALUES ('ever', '-infinity'::timestamptz), ('day', date_trunc('day', r.created_at, 'UTC')),
                    ('hour', date_trunc('hour', r.created_at, 'UTC'))) AS s (span, start)
            WHERE o.id IS NOT NULL GROUP BY 1, 2, 3)
        SELECT c.*, t.records AS counted FROM audit_counts AS c FULL JOIN truth AS t USING (organization_id, span, start)
        WHERE c.records IS DISTINCT FROM t.records AND NOT (c.records = 0 AND c.span = 'ever' AND t.records IS NULL)
        """
    )
    return [tuple(r) for r in rows]


async def test_a_record_is_read_as_it_was_written(house: House) -> None:
    organization_id = str(uuid4())
    at = START + timedelta(microseconds=123_456)
    said = a_record(
        organization_id,
        at,
        actor_id="u",
        actor_email="u@example.com",
        actor_api_key_prefix="dtn",
        actor_api_key_suffix="abc",
        target_id="t",
        error_message="OWNER_REQUIRED: only an owner may",
        ip_address="203.0.113.9",
        user_agent="curl/8\x00",
        source="cli",
        metadata='{"organizationId": "x", "nul": "a\\u0000b"}',
    )
    await record(house, said)
    (found,) = (await page(house, organization_id)).records
    said.user_agent = "curl/8\ufffd"
    said.metadata = '{"nul": "a\ufffdb", "organizationId": "x"}'
    # As precise as the API shows it.
    said.create_time.FromDatetime(START + timedelta(milliseconds=123))
    assert found == said


async def test_records_that_are_there_change_nothing(house: House) -> None:
    organization_id = str(uuid4())
    records = [a_record(organization_id) for _ in range(20)]
    await asyncio.gather(*(record(house, *random.sample(records, 20)) for _ in range(8)))
    await record(house, *records, *records)
    answer = await page(house, organization_id)
    assert answer.total_size == 20
    assert ids(answer.records) == newest_first(records)
    assert await counts(house) == []


async def test_pages_and_tokens_walk_the_whole_log(house: House) -> None:
    organization_id = str(uuid4())
    random_ = random.Random(7)
    # Crowded milliseconds, hours without any, several days.
    moments = [START + timedelta(hours=random_.choice((0, 0, 0, 5, 26, 70)), milliseconds=random_.randrange(20)) for _ in range(437)]  # fmt: skip
    records = [a_record(organization_id, at) for at in moments]
    await record(house, *records)
    expected = newest_first(records)
    for skip in (0, 1, 99, 200, 300, 436, 437, 1000):
        answer = await page(house, organization_id, skip=skip, page_size=50)
        assert ids(answer.records) == expected[skip : skip + 50], skip
        assert answer.total_size == 437
        assert bool(answer.next_page_token) == (skip + 50 < 437)
    walked, token = list[str](), ""
    while True:
        answer = await page(house, organization_id, page_token=token, page_size=60, skip=5000 if token else 0)  # fmt: skip
        assert answer.total_size == 437
        walked += ids(answer.records)
        if not (token := answer.next_page_token):
            break
    assert walked == expected
    assert ids(await exported(house, organization_id)) == expected[::-1]


async def test_everybody_is_read_by_administrators_alone(house: House) -> None:
    one, other, nobody = str(uuid4()), str(uuid4()), ""
    far = datetime(2031, 1, 1, tzinfo=UTC)
    records = [a_record(o, far + timedelta(seconds=n)) for n, o in enumerate((one, other, nobody))]
    await record(house, *records)
    admin = house.as_user("root", system_admin=True)
    request = pb.ListAllAuditRecordsRequest(page_size=3)
    answer = await stub(house).ListAllAuditRecords(request, metadata=admin)
    assert ids(answer.records) == ids(records)[::-1]
    total = await house.database.pool.fetchval("SELECT count(*) FROM audit_records")
    assert answer.total_size == total
    request.skip = 1
    answer = await stub(house).ListAllAuditRecords(request, metadata=admin)
    assert ids(answer.records)[:2] == ids(records)[1::-1]
    request.filter.from_time.FromDatetime(far)
    answer = await stub(house).ListAllAuditRecords(request, metadata=admin)
    assert (answer.total_size, ids(answer.records)) == (3, ids(records)[1::-1])
    user = house.as_user("u", one, "owner")
    assert await refusal(stub(house).ListAllAuditRecords(request, metadata=user)) == (
        "PERMISSION_DENIED",
        "SYSTEM_ADMIN_REQUIRED",
    )


async def test_who_may_read_and_write(house: House) -> None:
    organization_id, other = str(uuid4()), str(uuid4())
    await record(house, a_record(organization_id), a_record(other))
    request = pb.ListAuditRecordsRequest(organization_id=organization_id, page_size=10)
    listing = stub(house).ListAuditRecords
    without = house.as_user("u", organization_id, "member")
    assert (await refusal(listing(request, metadata=without)))[1] == "PERMISSION_MISSING"
    elsewhere = reader(house, other)
    assert (await refusal(listing(request, metadata=elsewhere)))[1] == "ORGANIZATION_FORBIDDEN"
    zero = str(EVERYBODY)
    request.organization_id = zero
    assert (await refusal(listing(request, metadata=reader(house, zero))))[1] == (
        "ORGANIZATION_FORBIDDEN"
    )
    recording = stub(house).RecordRefusals(
        pb.RecordRefusalsRequest(), metadata=house.as_machine("snapshots")
    )
    assert (await refusal(recording))[1] == "SERVICE_REFUSED"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ([a_record("")] * 1_001, "TOO_MANY_RECORDS"),
        ([a_record("", id="x")], "RECORD_INVALID"),
        ([a_record("", action="")], "RECORD_INVALID"),
        ([a_record("", metadata="[]")], "RECORD_INVALID"),
        ([audit_pb2.AuditRecord(id=str(uuid4()), action="read")], "RECORD_INVALID"),
    ],
)
async def test_what_is_no_record_is_refused_whole(
    house: House, broken: list[audit_pb2.AuditRecord], reason: str
) -> None:
    good = a_record(str(uuid4()))
    assert await refusal(record(house, good, *broken)) == ("INVALID_ARGUMENT", reason)
    assert (await page(house, good.organization_id)).total_size == 0


@pytest.mark.parametrize("token", ["x", "WzEsMl0", "WzEsIngiXQ", "W10"])
async def test_a_token_that_is_none_is_refused(house: House, token: str) -> None:
    call = page(house, str(uuid4()), page_token=token)
    assert await refusal(call) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize(
    "broken",
    [
        pb.AuditFilter(texts=[pb.TextCondition(field="metadata", values=["x"])]),
        pb.AuditFilter(texts=[pb.TextCondition(field="action", values=["x"] * 201)]),
        pb.AuditFilter(texts=[pb.TextCondition(field="action")] * 101),
        pb.AuditFilter(status_codes=[pb.NumberCondition(values=[1])]),
        pb.AuditFilter(
            status_codes=[pb.NumberCondition(comparison=pb.COMPARISON_MORE, values=[1, 2])]
        ),
        pb.AuditFilter(from_time=Timestamp(seconds=2**60)),
    ],
)
async def test_a_filter_that_is_none_is_refused(house: House, broken: pb.AuditFilter) -> None:
    organization_id = str(uuid4())
    invalid = ("INVALID_ARGUMENT", "FILTER_INVALID")
    assert await refusal(page(house, organization_id, filter=broken)) == invalid
    assert await refusal(exported(house, organization_id, broken)) == invalid


_WORDS = ("create", "delete", "read", "", "ü", "a,b", "x\x00")
_FIELDS = ("id", "actor_id", "actor_email", "actor_api_key_prefix", "actor_api_key_suffix", "action", "target_type", "target_id")  # fmt: skip


def _texts(known: list[str]) -> st.SearchStrategy[pb.TextCondition]:
    def make(field: str, values: list[str], own: list[str], negated: bool) -> pb.TextCondition:
        return pb.TextCondition(
            field=field, values=own if field == "id" else values, negated=negated
        )

    return st.builds(
        make,
        st.sampled_from(_FIELDS),
        st.lists(st.sampled_from(_WORDS), max_size=3),
        st.lists(st.sampled_from([*known[:10], "no id"]), max_size=3),
        st.booleans(),
    )


_NUMBERS = st.one_of(
    st.builds(
        pb.NumberCondition,
        comparison=st.sampled_from([pb.COMPARISON_IN, pb.COMPARISON_NOT_IN]),
        values=st.lists(st.sampled_from([200, 201, 401, 403]), max_size=3),
    ),
    st.builds(
        pb.NumberCondition,
        comparison=st.sampled_from(
            [pb.COMPARISON_AT_LEAST, pb.COMPARISON_AT_MOST, pb.COMPARISON_MORE, pb.COMPARISON_LESS]
        ),
        values=st.lists(st.sampled_from([200, 201, 401, 403]), min_size=1, max_size=1),
    ),
)
_MOMENTS = st.integers(-5, 45).map(lambda n: to_timestamp(START + timedelta(minutes=7 * n)))


def _filters(known: list[str]) -> st.SearchStrategy[pb.AuditFilter]:
    bound = st.one_of(st.none(), _MOMENTS)
    return st.builds(
        pb.AuditFilter,
        from_time=bound,
        to_time=bound,
        after_time=bound,
        before_time=bound,
        texts=st.lists(_texts(known), max_size=2),
        status_codes=st.lists(_NUMBERS, max_size=2),
    )


_COMPARE: dict[int, Callable[[int, Sequence[int]], bool]] = {
    pb.COMPARISON_IN: lambda value, values: value in values,
    pb.COMPARISON_NOT_IN: lambda value, values: value not in values,
    pb.COMPARISON_AT_LEAST: lambda value, values: value >= values[0],
    pb.COMPARISON_AT_MOST: lambda value, values: value <= values[0],
    pb.COMPARISON_MORE: lambda value, values: value > values[0],
    pb.COMPARISON_LESS: lambda value, values: value < values[0],
}


def _passes(f: pb.AuditFilter, r: audit_pb2.AuditRecord) -> bool:
    at = r.create_time.ToMicroseconds()
    return (
        (not f.HasField("from_time") or at >= f.from_time.ToMicroseconds())
        and (not f.HasField("to_time") or at <= f.to_time.ToMicroseconds())
        and (not f.HasField("after_time") or at > f.after_time.ToMicroseconds())
        and (not f.HasField("before_time") or at < f.before_time.ToMicroseconds())
        and all((getattr(r, c.field) in c.values) != c.negated for c in f.texts)
        and all(_COMPARE[c.comparison](r.status_code, c.values) for c in f.status_codes)
    )


@pytest.fixture(scope="module")
async def varied(house: House) -> list[audit_pb2.AuditRecord]:
    """Give the records of an organization that differ in everything that can be filtered by."""
    random_, organization_id = random.Random(3), str(uuid4())
    words = [w for w in _WORDS if "\x00" not in w]
    records = [
        a_record(
            organization_id,
            START + timedelta(minutes=7 * random_.randrange(40)),
            **{f: random_.choice(words) for f in _FIELDS if f not in ("id", "action")},
            action=random_.choice(("create", "delete", "read")),
            status_code=random_.choice((200, 201, 401, 403)),
        )
        for _ in range(300)
    ]
    await record(house, *records)
    return records


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_filters_agree_with_a_model(
    house: House, varied: list[audit_pb2.AuditRecord], data: st.DataObject
) -> None:
    filter_ = data.draw(_filters(ids(varied)))
    skip, size = data.draw(st.integers(0, 320)), data.draw(st.integers(1, 200))
    organization_id = varied[0].organization_id
    expected = newest_first([r for r in varied if _passes(filter_, r)])
    answer = await page(house, organization_id, filter=filter_, skip=skip, page_size=size)
    assert answer.total_size == len(expected)
    assert ids(answer.records) == expected[skip : skip + size]
    assert bool(answer.next_page_token) == (skip + size < len(expected))
    if answer.next_page_token:
        token = answer.next_page_token
        answer = await page(house, organization_id, filter=filter_, page_token=token, page_size=size)  # fmt: skip
        assert answer.total_size == len(expected)
        assert ids(answer.records) == expected[skip + size : skip + 2 * size]
    assert ids(await exported(house, organization_id, filter_)) == expected[::-1]


async def test_nothing_is_changed_or_deleted(house: House) -> None:
    said = a_record(str(uuid4()))
    await record(house, said)
    for statement in (
        f"UPDATE audit_records SET action = 'x' WHERE id = '{said.id}'",
        f"DELETE FROM audit_records WHERE id = '{said.id}'",
        "TRUNCATE audit_records",
    ):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await house.database.pool.execute(statement)
    assert (await page(house, said.organization_id)).total_size == 1


async def test_what_is_forgotten_with_age_is_counted_exactly_beside_writers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_BATCH", 7)
    organizations = [str(uuid4()) for _ in range(3)]
    now, old = datetime.now(UTC), datetime.now(UTC) - timedelta(days=31)
    random_ = random.Random(5)

    async def writer() -> None:
        for _ in range(5):
            mix = [(random_.choice(organizations), at) for at in (now, old) for _ in range(10)]
            random_.shuffle(mix)
            await record(house, *(a_record(o, at - timedelta(hours=random_.randrange(30))) for o, at in mix))  # fmt: skip

    async def forgetter() -> None:
        for _ in range(5):
            await audit.forget(house.database.sessions, 30)

    await asyncio.gather(*(writer() for _ in range(4)), *(forgetter() for _ in range(2)))
    await forgetter()
    assert await counts(house) == []
    left = [await page(house, o) for o in organizations]
    assert sum(a.total_size for a in left) == 4 * 5 * 10
    assert all(r.create_time.ToDatetime(UTC) > now - timedelta(days=30) for a in left for r in a.records)  # fmt: skip


@pytest.mark.parametrize("few", [True, False])
async def test_a_page_is_found_in_an_index_of_its_own(house: House, few: bool) -> None:
    """Also the page of an organization that has few records among many of others, and no recent ones."""
    organization_id, other = uuid4(), uuid4()
    for id_, start, count in (
        (organization_id, START, 500 if few else 20_000),
        (other, START + timedelta(days=60), 20_000 if few else 500),
    ):
        await house.database.pool.execute(
            "INSERT INTO audit_records (id, created_at, organization_id, action, status_code)"
            " SELECT gen_random_uuid(), $2::timestamptz + n * interval '1 minute', $1, 'read', 403"
            " FROM generate_series(1, $3) AS n",
            id_,
            start,
            count,
        )
    await house.database.pool.execute("VACUUM (ANALYZE) audit_records")
    async with house.database.pool.acquire() as connection, connection.transaction():
        await connection.execute(queries.PLAN)
        for everybody, whose in ((False, organization_id), (True, EVERYBODY)):
            explain = f"EXPLAIN (ANALYZE) {queries._counted(everybody)}"
            plan = "\n".join(r[0] for r in await connection.fetch(explain, whose, 101, 200))
            index = "created_at" if everybody else "organization_id"
            assert f"Scan Backward using ix_audit_records_{index}" in plan, plan
            assert "Seq Scan on audit_records" not in plan
