"""Which variables each process is given: an allow-list, so that one context's secrets never reach another."""

from collections.abc import Mapping

# What any Python program may need to run as it does in the operator's shell.
_COMMON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "VERSION",
    "ENVIRONMENT",
    "LOG_LEVEL",
)
_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
# A name that ends in `_` stands for all that begin with it.
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "auth": (
        "AUTH_",
        "OIDC_",
        "PUBLIC_OIDC_DOMAIN",
        "SKIP_USER_EMAIL_VERIFICATION",
        "RATE_LIMIT_FAILED_AUTH_",
        *_PROXY,
    ),
    "orgs": (
        "ORGS_",
        "AUDIT_LOG_RETENTION_DAYS",
        "DEFAULT_ORG_QUOTA_",
        "DEFAULT_REGION_",
        "ORGANIZATION_SANDBOX_DEFAULT_LIMITED_NETWORK_EGRESS",
        "SKIP_USER_EMAIL_VERIFICATION",
        "DASHBOARD_URL",
        "SMTP_",
    ),
    "snapshots": ("SNAPSHOTS_", "DEFAULT_REGION_", *_PROXY),
    "gateway": (
        "GATEWAY_",
        "DASHBOARD_URL",
        "DEFAULT_REGION_",
        "MAINTENANCE_MODE",
        "OIDC_AUDIENCE",
        "OIDC_CLIENT_ID",
        "OIDC_ISSUER_BASE_URL",
        "PUBLIC_OIDC_DOMAIN",
        "RATE_LIMIT_",
        "SKIP_USER_EMAIL_VERIFICATION",
    ),
    "postgres": (),
    "edge": (),
    "registry": (),
    "storage": (),
    "operator": (),
}


def for_room(room: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `environ` that the processes of `room` may see."""
    allowed = (*_COMMON, *_ALLOWED[room])
    prefixes = tuple(name for name in allowed if name.endswith("_"))
    return {
        name: value
        for name, value in environ.items()
        if name in allowed or name.startswith(prefixes)
    }
