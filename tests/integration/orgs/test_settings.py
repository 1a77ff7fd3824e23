"""An organization's name and settings, each changed only as far as it was known."""

import asyncio
from typing import Any

import pytest

from ratoon.orgs.v1 import organization_service_pb2 as pb
from ratoon.orgs.v1.organization_pb2 import Organization, OtelConfig
from tests.integration.orgs.conftest import House, outcome, refusal

FORBIDDEN = ("PERMISSION_DENIED", "ORGANIZATION_FORBIDDEN")


async def _shop(house: House) -> tuple[str, Organization]:
    owner, _ = await house.person()
    return owner, await house.create(owner)


async def _rename(house: House, owner: str, made: Organization, **asked: Any) -> Organization:
    request = pb.UpdateOrganizationRequest(organization_id=made.id, **asked)
    me = house.as_user(owner, made.id, "owner")
    return (await house.organizations.UpdateOrganization(request, metadata=me)).organization


async def _send(
    house: House, owner: str, id_: str, endpoint: str = "https://otel", **headers: str
) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = pb.SetOtelConfigRequest(
        organization_id=id_, config=OtelConfig(endpoint=endpoint, headers=named)
    )
    me = house.as_user(owner, id_, "owner")
    await house.organizations.SetOtelConfig(request, metadata=me)


async def _clear(house: House, id_: str) -> OtelConfig:
    answer = await house.organizations.GetOtelConfig(
        pb.GetOtelConfigRequest(organization_id=id_), metadata=house.as_collector()
    )
    return answer.config


async def _try(house: House, owner: str, id_: str, config: str) -> None:
    await house.organizations.SetExperimentalConfig(
        pb.SetExperimentalConfigRequest(organization_id=id_, config=config),
        metadata=house.as_user(owner, id_, "owner"),
    )


async def test_an_owner_renames(house: House) -> None:
    owner, made = await _shop(house)
    assert made.revision == 1
    renamed = await _rename(house, owner, made, name="Café", if_revision=1)
    assert (renamed.name, renamed.revision) == ("Café", 2)
    assert renamed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert await house.told(made.id) == (["name"], {"action": "update", "name": "Café"})
    assert (await _rename(house, owner, made)).revision == 2
    for name in ("", " ", "<b>x", "www.x", "x" * 256, "a\x00"):
        refused = await refusal(_rename(house, owner, made, name=name))
        assert refused == ("INVALID_ARGUMENT", "ORGANIZATION_NAME_INVALID")
    stale = _rename(house, owner, made, name="Late", if_revision=1)
    assert await refusal(stale) == ("ABORTED", "REVISION_MISMATCH")
    assert (await house.get(owner, made.id)).name == "Café"


async def test_an_owner_has_snapshots_activated_by_use(house: House) -> None:
    owner, made = await _shop(house)
    assert not made.snapshot_auto_activation
    assert not (await house.limits(made.id)).snapshot_auto_activation
    for wanted in (True, False):
        changed = await _rename(house, owner, made, snapshot_auto_activation=wanted)
        assert (changed.snapshot_auto_activation, changed.name) == (wanted, made.name)
        said = {"action": "update", "snapshotAutoActivation": wanted}
        assert await house.told(made.id) == (["snapshotAutoActivation"], said)
        limits = await house.limits(made.id)
        assert (limits.snapshot_auto_activation, limits.revision) == (wanted, changed.revision)
    both = await _rename(house, owner, made, name="Both", snapshot_auto_activation=True)
    assert (both.name, both.snapshot_auto_activation) == ("Both", True)
    assert (await house.get(owner, made.id)).snapshot_auto_activation


async def test_a_personal_organization_is_renamed_too(house: House) -> None:
    owner, personal = await house.person()
    made = await house.get(owner, personal)
    assert (await _rename(house, owner, made, name="Mine")).name == "Mine"
    assert await house.ensure(owner) == personal


@pytest.mark.parametrize("round_", range(3))
async def test_of_ten_who_knew_the_same_one_renames(house: House, round_: int) -> None:
    owner, made = await _shop(house)
    outcomes = await asyncio.gather(
        *(outcome(_rename(house, owner, made, name=f"{n}", if_revision=1)) for n in range(10))
    )
    assert sorted(outcomes) == ["REVISION_MISMATCH"] * 9 + ["ok"]
    now = await house.get(owner, made.id)
    assert (now.name, now.revision) == (str(outcomes.index("ok")), 2)


async def test_every_change_counts(house: House) -> None:
    owner, made = await _shop(house)
    me, id_ = house.as_user(owner, made.id, "owner"), made.id
    o = house.organizations
    requests: list[tuple[Any, Any]] = [
        (o.SetDefaultRegion, pb.SetDefaultRegionRequest(region_id="us")),
        (o.SetOtelConfig, pb.SetOtelConfigRequest(config=OtelConfig(endpoint="http://x"))),
        (o.DeleteOtelConfig, pb.DeleteOtelConfigRequest()),
        (o.SetExperimentalConfig, pb.SetExperimentalConfigRequest(config="{}")),
        (o.SetLimitedNetworkEgress, pb.SetLimitedNetworkEgressRequest(limited=True)),
        (o.SetPreviewWarning, pb.SetPreviewWarningRequest(enabled=True)),
    ]
    for number, (method, request) in enumerate(requests, start=1):
        request.organization_id, request.if_revision = id_, number + 5
        refused = await refusal(method(request, metadata=me))
        assert refused == ("ABORTED", "REVISION_MISMATCH"), method
        request.if_revision = number
        await method(request, metadata=me)
        assert (await house.get(owner, id_)).revision == number + 1
    delete = pb.DeleteOrganizationRequest(organization_id=id_, if_revision=1)
    assert await outcome(o.DeleteOrganization(delete, metadata=me)) == "REVISION_MISMATCH"
    delete.if_revision = 7
    await o.DeleteOrganization(delete, metadata=me)


async def test_only_an_owner_of_now_changes_anything(house: House) -> None:
    _, made = await _shop(house)
    demoted, stranger = await house.person(), await house.person()
    await house.join(demoted[0], made.id)
    for user_id, reason in ((demoted[0], "OWNER_REQUIRED"), (stranger[0], FORBIDDEN[1])):
        # As a token says that is not a minute old yet.
        me = house.as_user(user_id, made.id, "owner")
        config = OtelConfig(endpoint="http://x")
        o = house.organizations
        for call in (
            o.UpdateOrganization(
                pb.UpdateOrganizationRequest(organization_id=made.id, name="x"), metadata=me
            ),
            o.SetOtelConfig(
                pb.SetOtelConfigRequest(organization_id=made.id, config=config), metadata=me
            ),
            o.DeleteOtelConfig(pb.DeleteOtelConfigRequest(organization_id=made.id), metadata=me),
            o.SetExperimentalConfig(
                pb.SetExperimentalConfigRequest(organization_id=made.id, config="{}"), metadata=me
            ),
            o.SetLimitedNetworkEgress(
                pb.SetLimitedNetworkEgressRequest(organization_id=made.id), metadata=me
            ),
            o.SetPreviewWarning(pb.SetPreviewWarningRequest(organization_id=made.id), metadata=me),
        ):
            assert await refusal(call) == ("PERMISSION_DENIED", reason)


async def test_administrators_set_egress_and_warning_anywhere(house: House) -> None:
    owner, made = await _shop(house)
    o = house.organizations
    egress = pb.SetLimitedNetworkEgressRequest(organization_id=made.id, limited=True)
    await o.SetLimitedNetworkEgress(egress, metadata=house.as_admin())
    assert (await house.told(made.id))[1] == {
        "action": "update_sandbox_default_limited_network_egress",
        "sandboxDefaultLimitedNetworkEgress": True,
    }
    warning = pb.SetPreviewWarningRequest(organization_id=made.id, enabled=True)
    await o.SetPreviewWarning(warning, metadata=house.as_admin())
    assert (await house.told(made.id))[1] == {
        "action": "update_preview_warning",
        "previewWarningEnabled": True,
    }
    seen = await house.get(owner, made.id)
    assert (seen.sandbox_limited_network_egress, seen.preview_warning_enabled) == (True, True)
    for id_ in ("abc", "", "00000000-0000-4000-8000-00000000dead"):
        egress.organization_id = id_
        call = o.SetLimitedNetworkEgress(egress, metadata=house.as_admin())
        assert await refusal(call) == ("NOT_FOUND", "ORGANIZATION_NOT_FOUND")


async def test_header_values_are_sealed_and_shown_to_the_collector_alone(house: House) -> None:
    owner, made = await _shop(house)
    await _send(house, owner, made.id, x_key="hush", other=" hush too ")
    seen = (await house.get(owner, made.id)).otel_config
    assert (seen.endpoint, dict(seen.headers)) == (
        "https://otel",
        {"x-key": "******", "other": "******"},
    )
    clear = await _clear(house, made.id)
    assert dict(clear.headers) == {"x-key": "hush", "other": "hush too"}
    row = await house.database.pool.fetchrow(
        "SELECT o::text AS said, otel_headers FROM organizations o WHERE id = $1", made.id
    )
    assert row is not None
    assert "hush" not in row["said"]
    assert b"hush" not in row["otel_headers"]
    fields, said = await house.told(made.id)
    assert fields == ["otelConfig"]
    assert said == {
        "action": "update_otel_config",
        "endpoint": "https://otel",
        "headers": ["other", "x-key"],
    }


async def test_what_is_sealed_for_one_opens_for_no_other(house: House) -> None:
    owner, made = await _shop(house)
    other = await house.create(owner, "Other")
    await _send(house, owner, made.id, x_key="hush")
    await _send(house, owner, other.id, x_key="public")
    await house.database.pool.execute(
        "UPDATE organizations SET otel_headers ="
        " (SELECT otel_headers FROM organizations WHERE id = $1) WHERE id = $2",
        made.id,
        other.id,
    )
    assert await refusal(_clear(house, other.id)) == ("INTERNAL", "")


async def test_asterisks_keep_what_is_stored(house: House) -> None:
    owner, made = await _shop(house)
    await _send(house, owner, made.id, a="1", b="2", c="3")
    await _send(house, owner, made.id, a="*", b="******", d="***", e=" ", f="*x*")
    assert dict((await _clear(house, made.id)).headers) == {"a": "1", "b": "2", "f": "*x*"}
    await _send(house, owner, made.id, b="new")
    assert dict((await _clear(house, made.id)).headers) == {"b": "new"}
    await _send(house, owner, made.id)
    assert dict((await _clear(house, made.id)).headers) == {}
    await _send(house, owner, made.id, b="***")
    assert dict((await _clear(house, made.id)).headers) == {}


async def test_telemetry_ends(house: House) -> None:
    owner, made = await _shop(house)
    assert await refusal(_clear(house, made.id)) == ("NOT_FOUND", "OTEL_CONFIG_NOT_FOUND")
    for id_ in ("abc", "", "00000000-0000-4000-8000-00000000dead"):
        assert await outcome(_clear(house, id_)) == "OTEL_CONFIG_NOT_FOUND"
    await _send(house, owner, made.id, a="1")
    request = pb.DeleteOtelConfigRequest(organization_id=made.id)
    for _ in range(2):
        me = house.as_user(owner, made.id, "owner")
        await house.organizations.DeleteOtelConfig(request, metadata=me)
    assert await outcome(_clear(house, made.id)) == "OTEL_CONFIG_NOT_FOUND"
    seen = await house.get(owner, made.id)
    assert (seen.HasField("otel_config"), seen.revision) == (False, 3)
    assert (await house.told(made.id))[1] == {"action": "delete_otel_config"}


async def test_only_the_collector_asks_for_telemetry_in_the_clear(house: House) -> None:
    owner, made = await _shop(house)
    request = pb.GetOtelConfigRequest(organization_id=made.id)
    for metadata, reason in (
        (house.as_machine("gateway"), "SERVICE_REFUSED"),
        (house.as_user(owner, made.id, "owner"), "CREDENTIAL_INVALID"),
        (house.as_admin(), "CREDENTIAL_INVALID"),
    ):
        call = house.organizations.GetOtelConfig(request, metadata=metadata)
        assert await outcome(call) == reason


async def test_telemetry_may_be_a_part_of_what_is_tried(house: House) -> None:
    owner, made = await _shop(house)
    config = (
        '{"otel": {"endpoint": "http://x:4317", "headers": {"k": "v", "n": 5}}, "b": {"c": [1]}}'
    )
    await _try(house, owner, made.id, config)
    seen = await house.get(owner, made.id)
    assert seen.experimental_config == '{"b": {"c": [1]}}'
    assert dict(seen.otel_config.headers) == {"k": "******"}
    clear = await _clear(house, made.id)
    assert (clear.endpoint, dict(clear.headers)) == ("http://x:4317", {"k": "v"})
    fields, said = await house.told(made.id)
    assert fields == ["experimentalConfig", "otelConfig"]
    assert said == {
        "action": "update_experimental_config",
        "settings": ["b"],
        "endpoint": "http://x:4317",
        "headers": ["k"],
    }
    for without in ("{}", '{"otel": null}'):
        await _try(house, owner, made.id, without)
        assert (await house.get(owner, made.id)).experimental_config == ""
        assert (await _clear(house, made.id)).endpoint == "http://x:4317"
    masked = '{"otel": {"endpoint": "http://y", "headers": {"k": "******"}}}'
    await _try(house, owner, made.id, masked)
    assert dict((await _clear(house, made.id)).headers) == {"k": "v"}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("", "EXPERIMENTAL_CONFIG_INVALID"),
        ("null", "EXPERIMENTAL_CONFIG_INVALID"),
        ("[]", "EXPERIMENTAL_CONFIG_INVALID"),
        ("{", "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": NaN}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": 1e999}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": 1e300}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": "\\u0000"}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"\\u0000": 1}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": "\\ud800"}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"a": "' + "x" * 65_536 + '"}', "EXPERIMENTAL_CONFIG_INVALID"),
        ('{"otel": 5}', "OTEL_ENDPOINT_INVALID"),
        ('{"otel": {}}', "OTEL_ENDPOINT_INVALID"),
        ('{"otel": {"endpoint": "nowhere"}}', "OTEL_ENDPOINT_INVALID"),
        ('{"otel": {"endpoint": "http://x", "headers": [1]}}', "OTEL_HEADERS_INVALID"),
    ],
)
async def test_what_cannot_be_tried(house: House, config: str, reason: str) -> None:
    owner, personal = await house.person()
    assert await refusal(_try(house, owner, personal, config)) == ("INVALID_ARGUMENT", reason)
    assert (await house.get(owner, personal)).revision == 1
