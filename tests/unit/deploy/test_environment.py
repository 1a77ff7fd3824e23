"""Which variables of the operator's shell reach which process."""

import pytest

from deploy.local.environment import for_room

SHELL = {
    "PATH": "/usr/bin",
    "AUDIT_LOG_RETENTION_DAYS": "90",
    "AUTH_DATABASE_URL": "postgresql://auth:hidden@db/auth",
    "AUTH_ANYTHING": "1",
    "AWS_SECRET_ACCESS_KEY": "hidden",
    "DASHBOARD_URL": "https://example.com",
    "DEFAULT_ORG_QUOTA_TOTAL_CPU_QUOTA": "4",
    "DEFAULT_REGION_ID": "us",
    "GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8",
    "HEALTH_CHECK_API_KEY": "hidden",
    "HTTPS_PROXY": "http://proxy.example.com",
    "MAINTENANCE_MODE": "true",
    "OIDC_CLIENT_ID": "ratoon",
    "OIDC_MANAGEMENT_API_CLIENT_SECRET": "hidden",
    "ORGS_DATABASE_URL": "postgresql://orgs:hidden@db/orgs",
    "RATE_LIMIT_FAILED_AUTH_TTL": "60",
    "SMTP_HOST": "mail.example.com",
    "SMTP_PASSWORD": "hidden",
    "RATE_LIMIT_AUTHENTICATED_TTL": "60",
    "RATOON_HOME": "/srv/ratoon",
    "SKIP_USER_EMAIL_VERIFICATION": "true",
    "SNAPSHOTS_INSECURE_REGISTRIES": "localhost:5000",
    "VERSION": "1",
}
EXPECTED = {
    "auth": {
        *("PATH", "VERSION", "AUTH_DATABASE_URL", "AUTH_ANYTHING", "HTTPS_PROXY", "OIDC_CLIENT_ID"),
        *("OIDC_MANAGEMENT_API_CLIENT_SECRET", "RATE_LIMIT_FAILED_AUTH_TTL"),
        "SKIP_USER_EMAIL_VERIFICATION",
    },
    "orgs": {
        *("PATH", "VERSION", "ORGS_DATABASE_URL", "DEFAULT_ORG_QUOTA_TOTAL_CPU_QUOTA"),
        *("DEFAULT_REGION_ID", "SKIP_USER_EMAIL_VERIFICATION"),
        *("DASHBOARD_URL", "SMTP_HOST", "SMTP_PASSWORD"),
        "AUDIT_LOG_RETENTION_DAYS",
    },
    "snapshots": {
        *("PATH", "VERSION", "SNAPSHOTS_INSECURE_REGISTRIES", "DEFAULT_REGION_ID", "HTTPS_PROXY"),
    },
    "gateway": {
        *("PATH", "VERSION", "GATEWAY_TRUSTED_PROXIES", "DASHBOARD_URL", "DEFAULT_REGION_ID"),
        *("MAINTENANCE_MODE", "OIDC_CLIENT_ID", "RATE_LIMIT_FAILED_AUTH_TTL"),
        *("RATE_LIMIT_AUTHENTICATED_TTL", "SKIP_USER_EMAIL_VERIFICATION"),
    },
    "postgres": {"PATH", "VERSION"},
    "edge": {"PATH", "VERSION"},
    "storage": {"PATH", "VERSION"},
    "operator": {"PATH", "VERSION"},
}


@pytest.mark.parametrize("room", EXPECTED)
def test_a_process_gets_its_own_variables_and_no_other(room: str) -> None:
    assert set(for_room(room, SHELL)) == EXPECTED[room]
