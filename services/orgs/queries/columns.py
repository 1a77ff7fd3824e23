"""Columns as the conversions take them: ids as text, times as whole microseconds since 1970, nothing to decode."""

from services.orgs.domain import VERIFY_REASON


def micros(column: str) -> str:
    return f"(date_part('epoch', {column}) * 1000000)::bigint"


_IN_FORCE = (
    "o.suspended_at IS NOT NULL AND (o.suspended_until IS NULL OR o.suspended_until > now())"
)
_WAITS = "o.unverified_since IS NOT NULL"
# A suspension whose end is past is none. What an administrator set stands before the wait for a verified address.
SUSPENSION = f"""
CASE WHEN {_IN_FORCE} THEN {micros("o.suspended_at")} ELSE {micros("o.unverified_since")} END,
CASE WHEN {_IN_FORCE} THEN {micros("o.suspended_until")} END,
CASE WHEN {_IN_FORCE} THEN o.suspension_reason WHEN {_WAITS} THEN '{VERIFY_REASON}' ELSE '' END,
CASE WHEN {_IN_FORCE} THEN 'admin' WHEN {_WAITS} THEN 'email-verification' END
"""
LIMITS = """
o.max_cpu_per_sandbox, o.max_memory_per_sandbox, o.max_disk_per_sandbox,
o.snapshot_quota, o.max_snapshot_size, o.volume_quota,
o.snapshot_deactivation_timeout_minutes, o.suspension_cleanup_grace_period_hours,
o.authenticated_rate_limit, o.sandbox_create_rate_limit, o.sandbox_lifecycle_rate_limit,
o.authenticated_rate_limit_ttl_seconds, o.sandbox_create_rate_limit_ttl_seconds,
o.sandbox_lifecycle_rate_limit_ttl_seconds,
o.secret_quota, o.max_secrets_per_sandbox, o.max_concurrent_snapshot_processing
"""
_SETTINGS = """
o.revision, o.preview_warning_enabled, o.snapshot_auto_activation, o.otel_endpoint, o.otel_header_names, o.experimental_config::text
"""
ORGANIZATION = (
    f"o.id::text, {micros('o.created_at')}, {micros('o.updated_at')}, o.name, o.created_by, o.personal,"
    f" o.default_region_id, o.sandbox_limited_network_egress, {_SETTINGS}, {SUSPENSION}, {LIMITS}"
)
REGION = (
    f"r.id, {micros('r.created_at')}, {micros('r.updated_at')}, r.name, r.organization_id::text, r.type,"
    " r.proxy_url, r.ssh_gateway_url, r.snapshot_manager_url, r.otel_endpoint"
)
REGION_QUOTA = f"""
q.organization_id::text, {micros("q.created_at")}, {micros("q.updated_at")}, q.region_id,
q.total_cpu_quota, q.total_memory_quota, q.total_disk_quota,
q.max_cpu_per_sandbox, q.max_memory_per_sandbox, q.max_disk_per_sandbox, q.max_disk_per_non_ephemeral_sandbox,
q.total_gpu_quota
"""
ROLE = (
    f"r.id::text, {micros('r.created_at')}, {micros('r.updated_at')}, r.name, r.description,"
    " r.permissions, r.organization_id IS NULL, r.revision"
)
MEMBER = (
    f"m.user_id, {micros('m.created_at')}, {micros('m.updated_at')}, m.role,"
    f" coalesce(p.name, ''), coalesce(p.email, ''), m.revision, m.service_account, {ROLE}"
)
INVITATION = (
    f"i.id::text, {micros('i.created_at')}, {micros('i.updated_at')}, i.organization_id::text, o.name, i.email,"
    f" i.invited_by, i.role, {micros('i.expires_at')}, i.status, i.revision, {ROLE}"
)
