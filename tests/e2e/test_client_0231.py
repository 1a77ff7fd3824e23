"""The published client of today, unmodified, calls everything about organizations and reads every answer."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.system import System
from tests.prerequisites import client_python

_SCRIPT = Path(__file__).parent / "clients" / "orgs_0231.py"
# Of products that this is not: there is nothing to read in a refusal, and their bodies have no example here.
NEVER = {
    "create_organization_identity_provider",
    "update_organization_identity_provider",
    "test_organization_identity_provider_connection",
    "generate_workos_admin_portal_link",
    "update_organization_default_queue_timeout",
}
# Switched off or not built: refused as such.
OFF = {
    *("get_account_providers", "link_account", "list_pending_sso_links", "record_login"),
    *("confirm_pending_sso_link", "dismiss_pending_sso_link", "accept_privacy_policies"),
    *("get_organization_otel_config_by_sandbox_auth_token", "get_gpu_capacity"),
    *("get_sandbox_identity_by_sandbox_auth_token", "list_workos_sso_connections"),
    *("list_organization_identity_providers", "get_organization_identity_provider"),
    *("delete_organization_identity_provider", "list_available_sandbox_classes"),
}
MODELS = {
    "create_organization": "Organization",
    "list_organizations": ["Organization"],
    "get_organization": "Organization",
    "get_organization_usage_overview": "OrganizationUsageOverview",
    "get_organization_otel_config": "OtelConfig",
    "create_organization_role": "OrganizationRole",
    "list_organization_roles": ["OrganizationRole"],
    "update_organization_role": "OrganizationRole",
    "create_organization_invitation": "OrganizationInvitation",
    "update_organization_invitation": "OrganizationInvitation",
    "list_organization_invitations": ["OrganizationInvitation"],
    "list_organization_invitations_for_authenticated_user": ["OrganizationInvitation"],
    "accept_organization_invitation": "OrganizationInvitation",
    "list_organization_members": ["OrganizationUser"],
    "update_access_for_organization_member": "OrganizationUser",
    "create_region": "CreateRegionResponse",
    "get_region_by_id": "Region",
    "list_available_regions": ["Region"],
    "list_shared_regions": ["Region"],
    "regenerate_proxy_api_key": "RegenerateApiKeyResponse",
    "regenerate_ssh_gateway_api_key": "RegenerateApiKeyResponse",
    "regenerate_snapshot_manager_credentials": "SnapshotManagerCredentials",
    "create_api_key": "ApiKeyResponse",
    "list_api_keys": ["ApiKeyList"],
    "get_api_key": "ApiKeyList",
    "get_current_api_key": "ApiKeyList",
    "get_authenticated_user": "User",
    "get_organization_audit_logs": "PaginatedAuditLogs",
    "get_audit_scenarios": "AuditScenarios",
}


@pytest.fixture(scope="module")
def told(system: System) -> dict[str, Any]:
    email = "client-0231@example.com"
    machines = json.loads((system.home / "secrets" / "service-credentials.json").read_text())
    environment = {
        "PATH": os.environ["PATH"],
        "URL": system.url,
        "KEY": system.key,
        "EMAIL": email,
        "GUEST": system.ratoon("user", "add", email).split()[-1],
        "COLLECTOR": machines["otel-collector"],
    }
    done = subprocess.run(
        [str(client_python("api")), str(_SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_every_operation_is_called(told: dict[str, Any]) -> None:
    assert set(told["never"]) == NEVER


def test_every_answer_is_read(told: dict[str, Any]) -> None:
    """By the models, which are strict; what has no body is read as nothing."""
    wrong = {}
    for name, outcomes in told["seen"].items():
        if name not in OFF and name != "get_organization":
            wanted = MODELS.get(name)
            fit = [o == wanted or (wanted is None and isinstance(o, str | list)) for o in outcomes]
            if not all(fit) or any(isinstance(o, str) and ":" in o for o in outcomes):
                wrong[name] = outcomes
    assert not wrong, json.dumps(wrong, indent=1)


def test_what_is_off_is_refused_as_such(told: dict[str, Any]) -> None:
    wrong = {
        name: told["seen"][name]
        for name in OFF
        if any(
            isinstance(o, int) and o not in (401, 403, 404, 501, 503) for o in told["seen"][name]
        )
        or any(isinstance(o, str) and ":" in o for o in told["seen"][name])
    }
    assert not wrong


def test_what_the_answers_say(told: dict[str, Any]) -> None:
    facts = told["facts"]
    assert told["seen"]["get_organization"] == ["Organization", "Organization", 403]
    for fact in ("listed", "got", "usage", "otel for the collector", "otel for others", "accepted"):
        assert facts[fact] is True, fact
    assert facts["region secrets"] is True
    assert (facts["roles"], facts["pending"], facts["count"]) == (9, 1, 1)
    assert facts["own"] == ["0.231"]
    assert facts["members"] == ["member", "owner"]
    assert (facts["region"], facts["regions"]) == ("custom", ["custom", "shared"])
    assert (facts["registry"], facts["shared"]) == ("daytona", ["us"])
    assert (facts["key"], facts["keys"], facts["current"]) == (68, ["k"], "k")
    assert facts["me"] == "ratoon-admin"
    assert facts["filtered"] == 1
    assert {"create", "update_access", "accept"} <= set(facts["logged"])
