"""Organizations' names and settings, what they may use, suspensions: REST in front of orgs and snapshots."""

import logging
from typing import Any

import httpx
import pytest

from chassis.errors import Kind
from chassis.revisions import RevisionMismatch
from ratoon.orgs.v1 import organization_pb2
from ratoon.orgs.v1 import organization_service_pb2 as pb
from tests.gateway_fakes import (
    ACCOUNT,
    ADMIN,
    ADMIN_PROBE,
    COLLECTOR,
    KEY,
    ORG,
    OTHER,
    OWNER,
    USER,
    VIEWER,
    Fakes,
    an_organization,
)
from tests.integration.gateway.conftest import Served, client_of

HOME = f"/organizations/{ORG}"
SHARE: dict[str, Any] = {
    "regionId": "us",
    "sandboxClass": "container",
    "totalCpuQuota": 10,
    "totalMemoryQuota": 20,
    "totalDiskQuota": 30,
    "totalGpuQuota": 0,
    "allowedGpuTypes": [],
    "maxCpuPerSandbox": 2,
    **dict.fromkeys(
        ("maxMemoryPerSandbox", "maxDiskPerSandbox", "maxDiskPerNonEphemeralSandbox"),
    ),
    **dict.fromkeys(("maxCpuPerGpu", "maxMemoryPerGpu", "maxDiskPerGpu")),
}
NEW_SHARE = {
    "sandboxClass": "container",
    "totalCpuQuota": 1,
    "totalMemoryQuota": 2,
    "totalDiskQuota": 3,
    "totalGpuQuota": 0,
}


@pytest.fixture
async def owner(served: Served) -> Any:
    async with client_of(served[1], ACCOUNT) as client:
        yield client


@pytest.fixture
async def admin(served: Served) -> Any:
    async with client_of(served[1], ADMIN) as client:
        yield client


async def test_an_owner_renames(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    seen = await owner.get(HOME)
    assert seen.headers["etag"] == '"3"'
    renamed = await owner.patch(HOME, json={"name": "Café"}, headers={"If-Match": '"3"'})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Café")
    assert renamed.headers["etag"] == '"4"'
    assert fakes.orgs.calls.last("UpdateOrganization").if_revision == 3
    for body in ({}, {"name": None}):
        assert (await owner.patch(HOME, json=body)).status_code == 200
        asked = fakes.orgs.calls.last("UpdateOrganization")
        assert not asked.HasField("name")
        assert not asked.HasField("if_revision")
        assert not asked.HasField("snapshot_auto_activation")
    await owner.patch(HOME, json={"snapshotAutoActivation": False})
    asked = fakes.orgs.calls.last("UpdateOrganization")
    assert asked.HasField("snapshot_auto_activation")
    assert not asked.snapshot_auto_activation
    assert not asked.HasField("name")
    wrongs: tuple[Any, ...] = ("yes", 1, [])
    for wrong in wrongs:
        assert (await owner.patch(HOME, json={"snapshotAutoActivation": wrong})).status_code == 400


async def test_what_was_changed_meanwhile_is_refused(
    fakes: Fakes, owner: httpx.AsyncClient
) -> None:
    for method, path, body, rpc in (
        ("PATCH", "", {"name": "x"}, "UpdateOrganization"),
        ("DELETE", "", None, "DeleteOrganization"),
        ("PATCH", "/default-region", {"defaultRegionId": "us"}, "SetDefaultRegion"),
        ("PUT", "/otel-config", {"endpoint": "https://x"}, "SetOtelConfig"),
        ("DELETE", "/otel-config", None, "DeleteOtelConfig"),
        ("PUT", "/experimental-config", {}, "SetExperimentalConfig"),
        ("POST", "/preview-warning", {"previewWarningEnabled": True}, "SetPreviewWarning"),
        (
            "POST",
            "/sandbox-default-limited-network-egress",
            {"sandboxDefaultLimitedNetworkEgress": True},
            "SetLimitedNetworkEgress",
        ),
    ):
        fakes.orgs.calls.refusals[rpc] = RevisionMismatch(9)
        answer = await owner.request(method, HOME + path, json=body, headers={"if-match": '"8"'})
        assert (answer.status_code, answer.json()["code"]) == (412, "REVISION_MISMATCH"), path
        assert fakes.orgs.calls.last(rpc).if_revision == 8
        broken = await owner.request(method, HOME + path, json=body, headers={"if-match": "W/x"})
        assert (broken.status_code, broken.json()["code"]) == (400, "IF_MATCH_INVALID")


async def test_telemetry_goes_where_it_is_told_to(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    body = {"endpoint": "https://otel:4317", "headers": {"x-key": "s", "n": 5, "none": None}}
    answer = await owner.put(f"{HOME}/otel-config", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    asked = fakes.orgs.calls.last("SetOtelConfig").config
    assert (asked.endpoint, dict(asked.headers)) == ("https://otel:4317", {"x-key": "s"})
    assert (
        await owner.put(f"{HOME}/otel-config", json={"endpoint": "x", "headers": None})
    ).is_success
    assert (await owner.delete(f"{HOME}/otel-config")).status_code == 204
    for bad in ({}, {"endpoint": ""}, {"endpoint": 5}, {"endpoint": "x", "headers": []}):
        assert (await owner.put(f"{HOME}/otel-config", json=bad)).status_code == 400


async def test_an_organization_shows_settings_without_secrets(
    fakes: Fakes, owner: httpx.AsyncClient
) -> None:
    config = organization_pb2.OtelConfig(
        endpoint="https://otel", headers={"b": "******", "a": "******"}
    )
    fakes.orgs.organizations = [
        an_organization(
            otel_config=config,
            experimental_config='{"beta":[1]}',
            preview_warning_enabled=True,
            snapshot_auto_activation=True,
        )
    ]
    limits = organization_pb2.Limits(secret_quota=4, max_secrets_per_sandbox=2)
    fakes.orgs.organizations[0].limits.MergeFrom(limits)
    shown = (await owner.get(HOME)).json()
    masked = {"endpoint": "https://otel", "headers": {"a": "******", "b": "******"}}
    assert shown["otelConfig"] == masked
    assert shown["experimentalConfig"] == {"beta": [1], "otel": masked}
    assert (shown["secretQuota"], shown["maxSecretsPerSandbox"]) == (4, 2)
    assert shown["previewWarningEnabled"] is True
    assert shown["snapshotAutoActivation"] is True
    config.headers.clear()
    fakes.orgs.organizations[0].otel_config.CopyFrom(config)
    assert (await owner.get(HOME)).json()["otelConfig"] == {"endpoint": "https://otel"}


async def test_only_the_collector_reads_telemetry_in_the_clear(served: Served) -> None:
    said = {"endpoint": "https://otel", "headers": {"x-key": "open"}, "organizationId": ORG}
    for credential, status in (
        (COLLECTOR, 200),
        (ADMIN_PROBE, 403),
        (OWNER, 401),
        (KEY, 401),
        (ADMIN, 401),
        ("", 401),
    ):
        async with client_of(served[1], credential) as client:
            answer = await client.get(f"{HOME}/otel-config")
        assert answer.status_code == status, credential
        if status == 200:
            assert answer.json() == said


async def test_a_sandboxs_token_is_never_repeated(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/organizations/otel-config/by-sandbox-auth-token/"
    for credential, token, status in (
        (COLLECTOR, "hush-hush", 404),
        (COLLECTOR, "hush%2Fhush", 404),
        (OWNER, "hush-hush", 401),
    ):
        async with client_of(served[1], credential) as client:
            for written in (path, path.replace("by-sandbox", "%62y-sandbox")):
                with caplog.at_level(logging.DEBUG):
                    answer = await client.get(written + token)
                assert answer.status_code == status
                assert "hush" not in answer.text
                assert answer.json()["path"] == f"/api{path}***"
        if status == 404:
            assert answer.json()["code"] == "OTEL_CONFIG_NOT_FOUND"
    mine = [r for r in caplog.records if r.name.startswith("gateway")]
    assert not any("hush" in str(vars(r)) for r in mine)


@pytest.mark.parametrize(
    ("content", "config"),
    [
        (b"{}", "{}"),
        (b"", "{}"),
        (b"null", "{}"),
        (b'{"otel": {"endpoint": "http://x"}, "a": [1.5, null]}', None),
    ],
)
async def test_experimental_settings_travel_as_they_are(
    fakes: Fakes, owner: httpx.AsyncClient, content: bytes, config: str | None
) -> None:
    answer = await owner.put(f"{HOME}/experimental-config", content=content)
    assert (answer.status_code, answer.content) == (200, b"")
    expected = config or '{"otel":{"endpoint":"http://x"},"a":[1.5,null]}'
    assert fakes.orgs.calls.last("SetExperimentalConfig").config == expected
    for bad in (b"[]", b"5", b'"x"'):
        answer = await owner.put(f"{HOME}/experimental-config", content=bad)
        assert answer.status_code == 400


@pytest.mark.parametrize("credential", [ACCOUNT, ADMIN])
async def test_owners_and_administrators_set_egress_and_warning(
    fakes: Fakes, served: Served, credential: str
) -> None:
    async with client_of(served[1], credential) as client:
        answer = await client.post(f"{HOME}/preview-warning", json={"previewWarningEnabled": True})
        assert (answer.status_code, answer.content) == (204, b"")
        egress = {"sandboxDefaultLimitedNetworkEgress": True}
        path = f"{HOME}/sandbox-default-limited-network-egress"
        assert (await client.post(path, json=egress)).status_code == 204
        for bad in (
            {},
            {"sandboxDefaultLimitedNetworkEgress": "yes"},
            {"previewWarningEnabled": 1},
        ):
            assert (await client.post(path, json=bad)).status_code == 400
    asked = fakes.orgs.calls.last("SetLimitedNetworkEgress")
    assert (asked.organization_id, asked.limited) == (ORG, True)
    assert fakes.orgs.calls.last("SetPreviewWarning").enabled


async def test_the_overview_composes_what_may_be_used_with_what_is(
    fakes: Fakes, served: Served
) -> None:
    async with client_of(served[1], VIEWER) as client:
        answer = await client.get(f"{HOME}/usage")
    uses = ("currentCpuUsage", "currentMemoryUsage", "currentDiskUsage", "currentGpuUsage")
    assert answer.json() == {
        "regionUsage": [SHARE | dict.fromkeys(uses, 0)],
        "totalSnapshotQuota": 30,
        "currentSnapshotUsage": 7,
        "totalVolumeQuota": 100,
        "currentVolumeUsage": 0,
    }
    assert fakes.snapshots.calls.last("GetUsage").organization_id == ORG
    async with client_of(served[1], KEY) as client:
        answer = await client.get(f"{HOME}/usage")
        assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_MISSING")
        classes = await client.get(f"{HOME}/available-sandbox-classes")
    said = {"regionId": "us", "sandboxClass": "container", "gpuAvailable": False}
    assert classes.json() == [said | {"allowedGpuTypes": []}]


async def test_a_quota_changes_by_what_is_said(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {
        "snapshotQuota": 5,
        "volumeQuota": 0,
        "maxCpuPerSandbox": None,
        "authenticatedRateLimit": 7.0,
        "maxConcurrentSnapshotProcessing": -1,
        "cleared": ["sandboxCreateRateLimit", "sandboxLifecycleRateLimitTtlSeconds"],
    }
    answer = await admin.patch(f"{HOME}/quota", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert fakes.orgs.calls.last("UpdateQuota") == pb.UpdateQuotaRequest(
        organization_id=ORG,
        snapshot_quota=5,
        volume_quota=0,
        authenticated_rate_limit=7,
        max_concurrent_snapshot_processing=-1,
        cleared=["sandbox_create_rate_limit", "sandbox_lifecycle_rate_limit_ttl_seconds"],
    )
    assert fakes.snapshots.calls.last("ApplyLimits").organization_id == ORG


@pytest.mark.parametrize(
    "body",
    [
        {"maxCpuPerSandbox": -1},
        {"maxCpuPerSandbox": "x"},
        {"snapshotQuota": 1.5},
        {"volumeQuota": 2**31},
        {"maxCpuPerSandbox": True},
        {"authenticatedRateLimit": 0},
        {"sandboxCreateRateLimitTtlSeconds": 0},
        {"cleared": ["snapshotQuota"]},
        {"cleared": "authenticatedRateLimit"},
    ],
)
async def test_a_quota_is_a_number_that_can_be_counted(
    fakes: Fakes, admin: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await admin.patch(f"{HOME}/quota", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "REQUEST_INVALID")
    assert fakes.orgs.calls.names() == fakes.snapshots.calls.names() == []


@pytest.mark.parametrize("path", [f"{HOME}/quota/us", f"/admin{HOME}/quota/us"])
async def test_a_share_changes_by_what_is_said(
    fakes: Fakes, admin: httpx.AsyncClient, path: str
) -> None:
    body = {"totalCpuQuota": 4, "totalDiskQuota": None, "maxCpuPerSandbox": None}
    body["maxDiskPerNonEphemeralSandbox"] = 0
    assert (await admin.patch(path, json=body)).status_code == 204
    assert fakes.orgs.calls.last("UpdateRegionQuota") == pb.UpdateRegionQuotaRequest(
        organization_id=ORG,
        region_id="us",
        total_cpu_quota=4,
        max_disk_per_non_ephemeral_sandbox=0,
        cleared=["max_cpu_per_sandbox"],
        sandbox_class="container",
    )
    assert fakes.snapshots.calls.names() == ["ApplyLimits"]
    for bad in ({"totalCpuQuota": -1}, {"maxCpuPerSandbox": "2"}, {"sandboxClass": "toaster"}):
        assert (await admin.patch(path, json=bad)).status_code == 400


async def test_shares_are_granted_shown_and_taken(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    path = f"/admin{HOME}/quota/us"
    made = await admin.post(path, json=NEW_SHARE | {"maxMemoryPerSandbox": 9, "maxCpuPerGpu": None})
    assert made.status_code == 201
    said = made.json()
    assert (said["organizationId"], said["regionId"], said["totalDiskQuota"]) == (ORG, "us", 3)
    assert (said["maxMemoryPerSandbox"], said["maxCpuPerSandbox"]) == (9, None)
    assert said["maxSandboxLifespan"] is None
    shown = await admin.get(f"{path}/container")
    assert shown.json() == SHARE | {"organizationId": ORG, "maxSandboxLifespan": None}
    assert (await admin.delete(f"{path}/container")).status_code == 204
    assert fakes.orgs.calls.last("DeleteRegionQuota").sandbox_class == "container"
    assert (await admin.get(f"{path}/toaster")).status_code == 400
    for missing in NEW_SHARE:
        body = {k: v for k, v in NEW_SHARE.items() if k != missing}
        assert (await admin.post(path, json=body)).status_code == 400
    assert fakes.snapshots.calls.names() == ["ApplyLimits", "ApplyLimits"]


async def test_a_suspension_says_what_is_said(fakes: Fakes, admin: httpx.AsyncClient) -> None:
    assert (await admin.post(f"{HOME}/suspend")).status_code == 204
    asked = fakes.orgs.calls.last("SuspendOrganization")
    assert asked == pb.SuspendOrganizationRequest(organization_id=ORG)
    body = {
        "reason": "unpaid",
        "until": "2030-01-01T01:00:00+01:00",
        "suspensionCleanupGracePeriodHours": 0,
    }
    assert (await admin.post(f"{HOME}/suspend", json=body)).status_code == 204
    asked = fakes.orgs.calls.last("SuspendOrganization")
    assert (asked.reason, asked.until_time.ToJsonString()) == ("unpaid", "2030-01-01T00:00:00Z")
    assert asked.HasField("cleanup_grace_period_hours")
    assert asked.cleanup_grace_period_hours == 0
    assert (await admin.post(f"{HOME}/unsuspend")).status_code == 204
    assert fakes.snapshots.calls.names() == ["ApplyLimits"] * 3
    bad: Any
    for bad in ({"suspensionCleanupGracePeriodHours": -1}, {"until": "soon"}, {"reason": 5}, []):
        assert (await admin.post(f"{HOME}/suspend", json=bad)).status_code == 400


async def test_a_change_stands_while_snapshots_are_away(
    fakes: Fakes, admin: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await fakes.stop_one("snapshots")
    answer = await admin.post(f"{HOME}/suspend")
    assert answer.status_code == 204
    assert "limits take effect later: UNAVAILABLE" in caplog.text


async def test_what_orgs_refuses_has_no_effect_elsewhere(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    refusal = RevisionMismatch(1)
    for kind, reason, status in (
        (Kind.NOT_FOUND, "ORGANIZATION_NOT_FOUND", 404),
        (Kind.INVALID_ARGUMENT, "QUOTA_INVALID", 400),
    ):
        refusal.kind, refusal.reason = kind, reason  # type: ignore[misc]  # of this one alone
        fakes.orgs.calls.refusals["UpdateQuota"] = refusal
        answer = await admin.patch(f"/organizations/{OTHER}/quota", json={})
        assert (answer.status_code, answer.json()["code"]) == (status, reason)
    assert fakes.snapshots.calls.names() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", f"{HOME}/quota"),
        ("PATCH", f"{HOME}/quota/us"),
        ("POST", f"{HOME}/suspend"),
        ("POST", f"{HOME}/unsuspend"),
        ("POST", "/admin/organizations"),
        ("POST", f"/admin{HOME}/preview-warning"),
        ("POST", f"/admin{HOME}/quota/us"),
        ("PATCH", f"/admin{HOME}/quota/us"),
        ("GET", f"/admin{HOME}/quota/us/container"),
        ("DELETE", f"/admin{HOME}/quota/us/container"),
    ],
)
async def test_only_administrators_of_the_installation(
    fakes: Fakes, served: Served, method: str, path: str
) -> None:
    for credential, status in ((OWNER, 403), (KEY, 403), (ACCOUNT, 403), ("", 401)):
        async with client_of(served[1], credential) as client:
            # What is wrong with the body is nobody else's affair.
            assert (await client.request(method, path, content=b"{")).status_code == status
    assert fakes.orgs.calls.names() == []


async def test_an_administrator_makes_an_organization_for_somebody(
    fakes: Fakes, admin: httpx.AsyncClient
) -> None:
    body = {"userId": USER, "name": "Shop", "defaultRegionId": "us"}
    made = await admin.post("/admin/organizations", json=body, headers={"Idempotency-Key": "k"})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert (made.json()["name"], made.json()["createdBy"]) == ("Shop", USER)
    assert fakes.orgs.calls.last("CreateOrganizationForUser").request_id == "k"
    assert (await admin.post("/admin/organizations", json={"name": "x"})).status_code == 400
    warning = await admin.post(
        f"/admin{HOME}/preview-warning", json={"previewWarningEnabled": True}
    )
    assert warning.status_code == 204


async def test_organizations_are_listed_by_pages(fakes: Fakes, owner: httpx.AsyncClient) -> None:
    page = await owner.get("/organizations", headers={"X-Page-Size": "1", "X-Page-Token": "here"})
    assert (len(page.json()), page.headers["x-next-page-token"]) == (1, "next")
    asked = fakes.orgs.calls.last("ListOrganizations")
    assert (asked.page_size, asked.page_token) == (1, "here")
    whole = await owner.get("/organizations")
    assert len(whole.json()) == 2
    assert "x-next-page-token" not in whole.headers


async def test_what_is_published_and_not_offered_stays_so(owner: httpx.AsyncClient) -> None:
    answer = await owner.post(f"{HOME}/sso-enabled", json={"ssoEnabled": True})
    assert (answer.status_code, answer.json()["code"]) == (501, "NOT_IMPLEMENTED")
