"""The commands that the product's documents show, as they stand there."""

CREATE_ORGANIZATION = """
curl 'https://app.daytona.io/api/organizations' \\
  --request POST \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "name": "My Organization",
  "defaultRegionId": "us"
}'
"""
LIST_ORGANIZATIONS = """
curl 'https://app.daytona.io/api/organizations' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
GET_ORGANIZATION = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
LEAVE_ORGANIZATION = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/leave' \\
  --request POST \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
DELETE_ORGANIZATION = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID' \\
  --request DELETE \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
CREATE_ROLE = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/roles' \\
  --request POST \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "name": "Maintainer",
  "description": "Can manage all resources",
  "permissions": ["write:sandboxes", "delete:sandboxes"]
}'
"""
LIST_ROLES = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/roles' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
UPDATE_ROLE = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/roles/ROLE_ID' \\
  --request PUT \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "name": "Maintainer",
  "description": "Can manage all resources",
  "permissions": ["write:sandboxes", "delete:sandboxes"]
}'
"""
DELETE_ROLE = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/roles/ROLE_ID' \\
  --request DELETE \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
LIST_MEMBERS = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/users' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
INVITE_MEMBER = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/invitations' \\
  --request POST \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "email": "mail@example.com",
  "role": "member",
  "assignedRoleIds": ["00000000-0000-0000-0000-000000000001"]
}'
"""
REMOVE_MEMBER = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/users/USER_ID' \\
  --request DELETE \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
UPDATE_ACCESS = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/users/USER_ID/access' \\
  --request POST \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "role": "member",
  "assignedRoleIds": ["00000000-0000-0000-0000-000000000001"]
}'
"""
OWN_INVITATIONS = """
curl 'https://app.daytona.io/api/organizations/invitations' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
COUNT_INVITATIONS = """
curl 'https://app.daytona.io/api/organizations/invitations/count' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
ACCEPT_INVITATION = """
curl 'https://app.daytona.io/api/organizations/invitations/INVITATION_ID/accept' \\
  --request POST \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
DECLINE_INVITATION = """
curl 'https://app.daytona.io/api/organizations/invitations/INVITATION_ID/decline' \\
  --request POST \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
PENDING_INVITATIONS = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/invitations' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
UPDATE_INVITATION = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/invitations/INVITATION_ID' \\
  --request PUT \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "role": "member",
  "assignedRoleIds": ["00000000-0000-0000-0000-000000000001"],
  "expiresAt": "2030-01-01T00:00:00.000Z"
}'
"""
CANCEL_INVITATION = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/invitations/INVITATION_ID/cancel' \\
  --request POST \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
DEFAULT_REGION = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/default-region' \\
  --request PATCH \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "defaultRegionId": "us"
}'
"""
USAGE = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/usage' \\
  --header 'Authorization: Bearer YOUR_API_KEY'
"""
EGRESS = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/sandbox-default-limited-network-egress' \\
  --request POST \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "sandboxDefaultLimitedNetworkEgress": true
}'
"""
EXPERIMENTAL_CONFIG = """
curl 'https://app.daytona.io/api/organizations/ORGANIZATION_ID/experimental-config' \\
  --request PUT \\
  --header 'Content-Type: application/json' \\
  --header 'Authorization: Bearer YOUR_API_KEY' \\
  --data '{
  "otel": {
    "endpoint": "http://otel-collector:4317",
    "headers": {
      "api-key": "XXX"
    }
  }
}'
"""
