"""Whatever is served has a name in the audit log, in the published words."""

from fastapi.routing import APIRoute

from gateway.app import application
from gateway.audited import CALLED, OTHER, scenarios

SERVED = {r.operation_id or "" for r in application("1").routes if isinstance(r, APIRoute)}
# Clients know these and no others.
TARGETS = {
    *("api_key", "organization", "organization_invitation", "organization_role", "region"),
    *("organization_user", "docker_registry", "runner", "sandbox", "snapshot", "user", "volume"),
    *("warm_pool", "secret", "other", "identity_provider"),
}
ACTIONS = {
    *(
        "create",
        "read",
        "update",
        "delete",
        "update_access",
        "update_quota",
        "suspend",
        "unsuspend",
    ),
    *("create_region_quota", "update_region_quota", "delete_region_quota", "accept", "decline"),
    *("link_account", "unlink_account", "leave_organization", "regenerate_key_pair", "activate"),
    *(
        "set_default",
        "deactivate",
        "send_webhook_message",
        "initialize_webhooks",
        "update_sso_enabled",
    ),
    *("update_sandbox_default_limited_network_egress", "update_preview_warning"),
    *("update_otel_config", "delete_otel_config", "regenerate_proxy_api_key"),
    *(
        "set_general_status",
        "regenerate_ssh_gateway_api_key",
        "regenerate_snapshot_manager_credentials",
    ),
}


def test_every_operation_that_is_served_is_called_something() -> None:
    assert set(CALLED) >= SERVED


def test_the_words_are_the_published_ones() -> None:
    for target, actions in scenarios(CALLED).items():
        assert target in TARGETS
        assert set(actions) <= ACTIONS


def test_what_acts_on_nothing_in_particular_is_other() -> None:
    assert scenarios(["leaveOrganization", "linkAccount"]) == {
        OTHER: ["leave_organization", "link_account"]
    }
