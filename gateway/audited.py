"""What each operation is called in the audit log: its action, and what it acts on."""

from collections import defaultdict
from collections.abc import Iterable

READ = "read"
# Where the log names nothing that is acted on, the scenarios say so.
OTHER = "other"

_READS = {
    "api_key": (*("listApiKeys", "getApiKey", "getCurrentApiKey", "listServiceAccountApiKeys"),),
    "organization": (
        *("listOrganizations", "getOrganization", "getOrganizationUsageOverview"),
        *("getOrganizationOtelConfig", "getOrganizationOtelConfigBySandboxAuthToken"),
        *("listAvailableSandboxClasses", "getOrganizationAuditLogs", "exportOrganizationAuditLogs"),
        *("adminGetOrganizationRegionQuota", "adminGetAllAuditLogs"),
        *("listWebhookEndpoints", "getWebhookEndpoint", "getWebhookEndpointSecret"),
        *("listWebhookMessages", "listWebhookMessageAttempts", "adminGetMessageAttempts"),
        *("WebhookController_getInitializationStatus", "adminGetWebhookStatus"),
    ),
    "organization_role": ("listOrganizationRoles", "getOrganizationRole"),
    "organization_user": ("listOrganizationMembers", "getOrganizationMember"),
    "organization_invitation": (
        "listOrganizationInvitations",
        "listOrganizationInvitationsForAuthenticatedUser",
        "getOrganizationInvitationsCountForAuthenticatedUser",
    ),
    "docker_registry": (
        *("listRegistries", "getRegistry", "testRegistry", "getTransientPushAccess"),
        "getRegistryToken",
    ),
    "region": ("listAvailableRegions", "listSharedRegions", "getRegionById"),
    "snapshot": (
        *("getSnapshot", "getAllSnapshots", "getSnapshotBuildLogs", "getSnapshotBuildLogsUrl"),
        *("adminCanCleanupImage", "getBulkSnapshotJob"),
        *("listSnapshotShares", "getSnapshotShare", "listSnapshotVersions"),
    ),
    "user": (
        *("getAuthenticatedUser", "getAvailableAccountProviders", "listPendingSsoLinks"),
        *("adminListUsers", "adminGetUser"),
    ),
    "": (
        *("ConfigController_getConfig", "HealthController_live", "HealthController_check"),
        *("getAuditScenarios", "getPushAccess"),
    ),
}
_CHANGES = {
    "createApiKey": ("create", "api_key"),
    "deleteApiKey": ("delete", "api_key"),
    "deleteApiKeyForUser": ("delete", "api_key"),
    "updateApiKey": ("update", "api_key"),
    "updateApiKeyForUser": ("update", "api_key"),
    "rotateApiKey": ("update", "api_key"),
    "rotateApiKeyForUser": ("update", "api_key"),
    "createServiceAccountApiKey": ("create", "api_key"),
    "createOrganization": ("create", "organization"),
    "adminCreateOrganization": ("create", "organization"),
    "updateOrganization": ("update", "organization"),
    "setOrganizationDefaultRegion": ("update", "organization"),
    "updateExperimentalConfig": ("update", "organization"),
    "deleteOrganization": ("delete", "organization"),
    "leaveOrganization": ("leave_organization", ""),
    "updateOrganizationQuota": ("update_quota", "organization"),
    "updateOrganizationRegionQuota": ("update_region_quota", "organization"),
    "adminCreateOrganizationRegionQuota": ("create_region_quota", "organization"),
    "adminUpdateOrganizationRegionQuota": ("update_region_quota", "organization"),
    "adminDeleteOrganizationRegionQuota": ("delete_region_quota", "organization"),
    "suspendOrganization": ("suspend", "organization"),
    "unsuspendOrganization": ("unsuspend", "organization"),
    "updateSandboxDefaultLimitedNetworkEgress": (
        "update_sandbox_default_limited_network_egress",
        "organization",
    ),
    "updateOrganizationPreviewWarning": ("update_preview_warning", "organization"),
    "adminUpdateOrganizationPreviewWarning": ("update_preview_warning", "organization"),
    "updateOrganizationSsoEnabled": ("update_sso_enabled", "organization"),
    "updateOrganizationOtelConfig": ("update_otel_config", "organization"),
    "deleteOrganizationOtelConfig": ("delete_otel_config", "organization"),
    "createOrganizationRole": ("create", "organization_role"),
    "updateOrganizationRole": ("update", "organization_role"),
    "deleteOrganizationRole": ("delete", "organization_role"),
    "updateAccessForOrganizationMember": ("update_access", "organization_user"),
    "deleteOrganizationMember": ("delete", "organization_user"),
    "createServiceAccount": ("create", "organization_user"),
    "createOrganizationInvitation": ("create", "organization_invitation"),
    "updateOrganizationInvitation": ("update", "organization_invitation"),
    "resendOrganizationInvitation": ("update", "organization_invitation"),
    "cancelOrganizationInvitation": ("delete", "organization_invitation"),
    "acceptOrganizationInvitation": ("accept", "organization_invitation"),
    "declineOrganizationInvitation": ("decline", "organization_invitation"),
    "createRegion": ("create", "region"),
    "updateRegion": ("update", "region"),
    "deleteRegion": ("delete", "region"),
    "regenerateProxyApiKey": ("regenerate_proxy_api_key", "region"),
    "regenerateSshGatewayApiKey": ("regenerate_ssh_gateway_api_key", "region"),
    "regenerateSnapshotManagerCredentials": ("regenerate_snapshot_manager_credentials", "region"),
    "createRegistry": ("create", "docker_registry"),
    "updateRegistry": ("update", "docker_registry"),
    "deleteRegistry": ("delete", "docker_registry"),
    "adminSetDefaultRegistry": ("set_default", "docker_registry"),
    "createSnapshot": ("create", "snapshot"),
    "removeSnapshot": ("delete", "snapshot"),
    "activateSnapshot": ("activate", "snapshot"),
    "deactivateSnapshot": ("deactivate", "snapshot"),
    "bulkSnapshots": ("update", "snapshot"),
    "retrySnapshot": ("activate", "snapshot"),
    "adminSetSnapshotGeneralStatus": ("set_general_status", "snapshot"),
    "putSnapshotShare": ("update_access", "snapshot"),
    "deleteSnapshotShare": ("update_access", "snapshot"),
    "setSnapshotImage": ("update", "snapshot"),
    "rollBackSnapshot": ("update", "snapshot"),
    "linkAccount": ("link_account", ""),
    "unlinkAccount": ("unlink_account", ""),
    "confirmPendingSsoLink": ("link_account", ""),
    "dismissPendingSsoLink": ("unlink_account", ""),
    "enrollInSmsMfa": ("update", "user"),
    "adminCreateUser": ("create", "user"),
    "adminRegenerateKeyPair": ("regenerate_key_pair", "user"),
    "adminDisableUser": ("update", "user"),
    "adminEnableUser": ("update", "user"),
    "adminSendWebhook": ("send_webhook_message", "organization"),
    "adminInitializeWebhooks": ("initialize_webhooks", "organization"),
    # Nothing that the published log knows by name is an endpoint: it is a setting of its organization.
    "createWebhookEndpoint": ("update", "organization"),
    "updateWebhookEndpoint": ("update", "organization"),
    "deleteWebhookEndpoint": ("update", "organization"),
    "rotateWebhookEndpointSecret": ("update", "organization"),
    "WebhookController_refreshEndpoints": ("update", "organization"),
    "WebhookController_getAppPortalAccess": ("update", "organization"),
    "testWebhookEndpoint": ("send_webhook_message", "organization"),
    "replayWebhookMessage": ("send_webhook_message", "organization"),
    "recoverWebhookEndpoint": ("send_webhook_message", "organization"),
    "WebhookController_initializeWebhooks": ("initialize_webhooks", "organization"),
}
CALLED = {
    **{name: (READ, target) for target, names in _READS.items() for name in names},
    **_CHANGES,
}


def called(operation: str) -> tuple[str, str]:
    """Return action and target type of an operation, in the published words."""
    return CALLED.get(operation, (READ, ""))


def scenarios(operations: Iterable[str]) -> dict[str, list[str]]:
    """Return which actions may appear in the log by what they act on, given the operations that are served."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for operation in operations:
        action, target = called(operation)
        found[target or OTHER].add(action)
    return {target: sorted(actions) for target, actions in sorted(found.items())}
