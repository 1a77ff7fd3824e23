"""Two tenants with one of everything, and what either may name of the other."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from bench import fill
from chassis.permissions import ALL, READ_SCOPES
from tests.e2e.tenants import Issuing, Person

# Everything that is kept of an organization, whichever way it might be changed.
_ROWS = {
    "orgs": (
        "SELECT t::text FROM organizations t WHERE id = $1",
        "SELECT t::text FROM members t WHERE organization_id = $1",
        "SELECT t::text FROM member_roles t WHERE organization_id = $1",
        "SELECT t::text FROM roles t WHERE organization_id = $1",
        "SELECT t::text FROM invitations t WHERE organization_id = $1",
        "SELECT r::text FROM invitation_roles r JOIN invitations i ON i.id = invitation_id"
        " WHERE i.organization_id = $1",
        "SELECT t::text FROM regions t WHERE organization_id = $1",
        "SELECT t::text FROM region_quotas t WHERE organization_id = $1",
        "SELECT t::text FROM webhook_endpoints t WHERE organization_id = $1",
    ),
    # When a key was last used is noted some seconds late: nothing that a stranger did.
    "auth": (
        "SELECT (to_jsonb(t) - 'last_used_at')::text FROM api_keys t WHERE organization_id = $1",
    ),
    "snapshots": (
        "SELECT t::text FROM snapshots t WHERE organization_id = $1",
        "SELECT t::text FROM registries t WHERE organization_id = $1",
        # How far they are is the worker's doing.
        "SELECT id::text || action || total FROM bulk_jobs WHERE organization_id = $1",
        "SELECT t::text FROM shares t JOIN snapshots s ON s.id = snapshot_id WHERE organization_id = $1",
        "SELECT t::text FROM shares t WHERE receiver_id = $1",
    ),
}


@dataclass(frozen=True)
class Tenant:
    """An organization, its owner and a key of it, and one of everything that is there, by the names of paths."""

    word: str
    owner: Person
    organization: str
    key: str
    things: dict[str, str]

    def marks(self) -> list[str]:
        """Return what nobody else may ever be shown who did not say it first."""
        return sorted({*self.things.values(), *self.untold()})

    def untold(self) -> list[str]:
        """Return what nobody else may ever be shown, and that a stranger has no reason to say."""
        region = (f"{self.word}-region", f"https://proxy.{self.word}.example")
        registry = (f"{self.word}-registry", f"registry.{self.word}.example", f"{self.word}-robot")
        person = (self.owner.sub, self.owner.email, self.owner.personal)
        return [*person, f"{self.word} Ltd", *region, *registry, f"{self.word}-secret"]


def tenant(issuing: Issuing, word: str) -> Tenant:
    """Found an organization that has one of everything; the word is in every name."""
    owner, member = issuing.person(f"auth0|{word}-owner"), issuing.person(f"auth0|{word}-member")
    organization = issuing.organization(owner, f"{word} Ltd")
    held = issuing.join(member.sub, organization, ["write:snapshots"])
    account = f"sa_{word}"
    issuing.join(account, organization)
    issuing.system.sql(
        "orgs", "UPDATE members SET service_account = true WHERE user_id = $1", account
    )
    place = {"name": f"{word}-region", "proxyUrl": f"https://proxy.{word}.example"}
    region = issuing.post("/regions", owner.token, place, organization)
    place = {"name": f"{word}-registry", "url": f"registry.{word}.example", "project": word}
    login = {"username": f"{word}-robot", "password": f"{word}-secret"}
    registry = issuing.post("/docker-registry", owner.token, {**place, **login}, organization)
    named = {"name": f"{word}-key", "permissions": []}
    issuing.post("/api-keys", owner.token, named, organization)
    # Disabled: nobody is there, and how it fails is nothing that a stranger did.
    target = {"url": f"https://proxy.{word}.example/hook", "enabled": False}
    hooks = f"/webhooks/organizations/{organization}/endpoints"
    hook = issuing.post(hooks, owner.token, target, organization)
    things = {
        "organizationId": organization,
        "roleId": held,
        "userId": member.sub,
        "accountId": account,
        "invitationId": issuing.invitation(organization, f"{word}@guests.example", owner.sub),
        "regionId": str(region["id"]),
        "registryId": str(registry["id"]),
        "snapshotId": _snapshot(issuing, organization, word),
        "snapshotName": f"{word}-snapshot",
        "name": f"{word}-key",
        "jobId": _job(issuing, owner, organization),
        "endpointId": str(hook["id"]),
        "messageId": _message(issuing, organization, word),
    }
    key = issuing.key(owner, organization, ALL - READ_SCOPES)
    return Tenant(word, owner, organization, key, things)


def _snapshot(issuing: Issuing, organization: str, word: str) -> str:
    """Give the organization a snapshot that no worker is busy with."""
    fill.load(issuing.system.database_url("snapshots"), {organization: 1})
    rows = issuing.system.sql(
        "snapshots",
        "UPDATE snapshots SET name = $2 WHERE organization_id = $1 RETURNING id::text",
        UUID(organization),
        f"{word}-snapshot",
    )
    return str(rows[0][0])


def _job(issuing: Issuing, owner: Person, organization: str) -> str:
    """Have something done to a snapshot that is not there."""
    body = {"action": "deactivate", "ids": [str(uuid4())]}
    return str(issuing.post("/snapshots/bulk", owner.token, body, organization)["id"])


def _message(issuing: Issuing, organization: str, word: str) -> str:
    id_ = f"msg_{uuid4().hex}"
    issuing.system.sql(
        "orgs",
        "INSERT INTO webhook_messages (id, organization_id, type, payload) VALUES ($1, $2, 'ping', $3)",
        id_,
        UUID(organization),
        f'{{"id": "{word}"}}',
    )
    return id_


def rows_of(issuing: Issuing, organization: str) -> list[str]:
    """Return all rows of an organization, to be compared."""
    sql = issuing.system.sql
    found = [
        str(row[0])
        for context, statements in _ROWS.items()
        for statement in statements
        for row in sql(context, statement, UUID(organization))
    ]
    return sorted(found)


def unknown(thing: str) -> str:
    """Return a name of the same form that nobody bears."""
    made = {
        "userId": f"auth0|nobody-{uuid4().hex[:8]}",
        "accountId": f"sa_{uuid4().hex[:8]}",
        "regionId": f"nowhere_{uuid4().hex[:4]}",
        "snapshotName": f"nothing-{uuid4().hex[:8]}",
        "name": f"no-key-{uuid4().hex[:8]}",
        "messageId": f"msg_{uuid4().hex}",
    }
    return made.get(thing, str(uuid4()))
