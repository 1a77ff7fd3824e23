"""The served document keeps what is published; published.json holds its facts for what is served."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi.routing import APIRoute

from gateway import published
from gateway.app import application
from gateway.errors import ErrorBody
from gateway.openapi import document
from gateway.paths import PREFIX
from gateway.schemas import (
    api_keys,
    audit,
    bulk,
    errors,
    invitations,
    members,
    organizations,
    roles,
    shares,
    snapshots,
    versions,
)
from gateway.schemas.base import Answer

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text())
APP = application("1.2.3")
SERVED: dict[str, Any] = json.loads(document(APP))
OPERATIONS = {
    op["operationId"]: (method, path, op)
    for path, item in SERVED["paths"].items()
    for method, op in item.items()
}
# Published as optional, and about things that this installation does not know.
NOT_SAID = {"gpuType", "sandboxClass", "pylonEmailHash"} | {
    *("posthog", "pylonAppId", "billingApiUrl", "analyticsApiUrl", "sshGatewayCommand"),
    *("sshGatewayPublicKey", "buildSha", "ssoOidc", "forcedFeatureFlags", "stripePublishableKey"),
}
NOT_ASKED = {"gpuType", "sandboxClass", "emailVerifiedSource"} | {
    *("allowedGpuTypes", "maxCpuPerGpu", "maxMemoryPerGpu", "maxDiskPerGpu"),
    *("maxSandboxLifespan", "organizationId"),
}
# Published as demanded, and left out by everybody who sends it.
LENIENT = {
    *("updateOrganizationQuota", "updateOrganizationRegionQuota", "suspendOrganization"),
    "adminUpdateOrganizationRegionQuota",
}
# Our own, beside the published ones.
ADDED = {
    "updateOrganization",
    "retrySnapshot",
    "bulkSnapshots",
    "getBulkSnapshotJob",
    "createServiceAccount",
    "getOrganizationMember",
    "getOrganizationRole",
    "resendOrganizationInvitation",
    "adminDisableUser",
    "adminEnableUser",
    "createServiceAccountApiKey",
    "listServiceAccountApiKeys",
    "rotateApiKey",
    "testRegistry",
    "getRegistryToken",
    "rotateApiKeyForUser",
    "updateApiKey",
    "updateApiKeyForUser",
    *("listSnapshotShares", "getSnapshotShare", "putSnapshotShare", "deleteSnapshotShare"),
    *("setSnapshotImage", "listSnapshotVersions", "rollBackSnapshot"),
    "createWebhookEndpoint",
    "listWebhookEndpoints",
    "getWebhookEndpoint",
    "updateWebhookEndpoint",
    "deleteWebhookEndpoint",
    "getWebhookEndpointSecret",
    "rotateWebhookEndpointSecret",
    "testWebhookEndpoint",
    "recoverWebhookEndpoint",
    "listWebhookMessages",
    "listWebhookMessageAttempts",
    "replayWebhookMessage",
}
# How lists are walked, changes made on condition, creates repeated, logs read on: offered besides.
HEADERS = {
    "header:Idempotency-Key",
    "header:If-Match",
    "header:X-Page-Size",
    "header:X-Page-Token",
    "query:offset",
    "query:unusedForDays",
    "query:version",
}


def _schema(said: dict[str, Any] | None) -> dict[str, Any]:
    """Follow references and lists down to an object."""
    if not said:
        return {"properties": {}}
    if "$ref" in said:
        return _schema(SERVED["components"]["schemas"][said["$ref"].rpartition("/")[2]])
    if "anyOf" in said:
        return _schema(said["anyOf"][0])
    return _schema(said["items"]) if said.get("type") == "array" else said


def _json(part: dict[str, Any]) -> dict[str, Any]:
    return _schema(part.get("content", {}).get("application/json", {}).get("schema"))


def test_every_operation_served_is_a_published_one() -> None:
    assert set(OPERATIONS) == set(FACTS) | ADDED


@pytest.mark.parametrize("name", sorted(FACTS))
def test_it_is_where_it_is_published(name: str) -> None:
    facts, (method, path, operation) = FACTS[name], OPERATIONS[name]
    assert (method, path, operation["tags"]) == (facts["method"], facts["path"], facts["tags"])
    assert method.upper() in published.methods(path)
    parameters = {f"{p['in']}:{p['name']}" for p in operation.get("parameters", [])}
    assert set(facts["parameters"]) <= parameters
    assert parameters - set(facts["parameters"]) <= HEADERS


@pytest.mark.parametrize("name", sorted(FACTS))
def test_it_answers_what_is_published(name: str) -> None:
    facts, (_, _, operation) = FACTS[name], OPERATIONS[name]
    successes = [status for status in operation["responses"] if status.startswith("2")]
    assert successes == [facts["status"]]
    said = _json(operation["responses"][facts["status"]])
    assert set(facts["fields"]) - set(said.get("properties", {})) <= NOT_SAID - set(
        facts["required"]
    )
    assert set(facts["required"]) <= set(said.get("required", []))


@pytest.mark.parametrize("name", sorted(FACTS))
def test_it_takes_what_is_published(name: str) -> None:
    facts, (_, _, operation) = FACTS[name], OPERATIONS[name]
    asked = _json(operation.get("requestBody", {}))
    assert set(facts["bodyFields"]) - set(asked["properties"]) <= NOT_ASKED
    demanded = [] if name in LENIENT else facts["bodyRequired"] or []
    assert sorted(asked.get("required", [])) == demanded


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_error_has_the_one_shape(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    failures = {s: r for s, r in operation["responses"].items() if s >= "4"}
    assert {"429", "500", "503", "504"} <= set(failures)
    assert ({"401", "403"} <= set(failures)) == ("security" in operation)
    if "requestBody" in operation:
        assert {"400", "408", "413"} <= set(failures)
    for response in failures.values():
        reference = response["content"]["application/json"]["schema"]["$ref"]
        assert reference == "#/components/schemas/Error"


def test_every_route_declares_what_it_answers() -> None:
    """One that declares nothing would be encoded by guessing, at ten times the price."""
    for route in APP.routes:
        if isinstance(route, APIRoute):
            declared = OPERATIONS[route.operation_id or ""][2]["responses"][
                str(route.status_code or 200)
            ]
            empty = route.response_model is None
            assert empty == ("application/json" not in declared.get("content", {})), route.path


@pytest.mark.parametrize(
    ("encoded", "documented"),
    [
        (snapshots.Snapshot, snapshots.SnapshotDto),
        (snapshots.Progress, snapshots.ProgressDto),
        (snapshots.Page, snapshots.PaginatedSnapshots),
        (bulk.Item, bulk.BulkItem),
        (bulk.Job, bulk.BulkJob),
        (bulk.JobPage, bulk.BulkJobPage),
        (api_keys.Key, api_keys.ApiKeyList),
        (organizations.Encoded, organizations.Organization),
        (versions.EncodedVersion, versions.SnapshotVersion),
        (shares.EncodedShare, shares.SnapshotShare),
        (roles.EncodedRole, roles.OrganizationRole),
        (members.EncodedMember, members.OrganizationUser),
        (invitations.EncodedInvitation, invitations.OrganizationInvitation),
        (audit.Line, audit.AuditLog),
        (audit.Lines, audit.PaginatedAuditLogs),
    ],
)
def test_what_is_encoded_is_what_is_documented(
    encoded: type[msgspec.Struct], documented: type[Answer]
) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(encoded)}
    assert names == {field.alias for field in documented.model_fields.values()}


def test_the_error_body_is_what_is_documented() -> None:
    names = {field.encode_name for field in msgspec.structs.fields(ErrorBody)}
    assert names == {field.alias for field in errors.Error.model_fields.values()}


def test_the_document_is_whole() -> None:
    assert SERVED["openapi"].startswith("3.1")
    assert SERVED["info"]["version"] == "1.2.3"
    assert SERVED["servers"] == [{"url": PREFIX}]
    text = json.dumps(SERVED)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in SERVED["components"]["schemas"]
    assert "HTTPValidationError" not in text


def test_what_is_published_and_not_served_is_known() -> None:
    assert published.methods("/volumes") == {"GET", "POST"}
    assert published.methods("/sandbox/x/start") == {"POST"}
    assert published.methods("/api-keys/current") == {"GET", "DELETE"}
    for unknown in ("/nope", "", "/", "/snapshots/", "/snapshots//activate"):
        assert not published.methods(unknown)
