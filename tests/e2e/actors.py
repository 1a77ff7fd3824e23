"""Everybody who may stand at the door, and what the contract says to each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from chassis.grpc.access import Rule
from chassis.permissions import ALL, READ_SCOPES
from tests.e2e.tenants import Issuing, Person

# What an ordinary key may list and still reads everything.
PLAIN = ALL - READ_SCOPES
LET_IN = "let in"
_UNKNOWN = "401 CREDENTIAL_INVALID"


@dataclass(frozen=True)
class Actor:
    """Who presents what for which organization. `home`: the one that an ordinary key belongs to."""

    name: str
    kind: str
    credential: str = field(default="", repr=False)
    user: str = ""
    target: str = ""
    role: str = ""
    permissions: frozenset[str] = frozenset()
    home: str = ""
    system_admin: bool = False
    service: str = ""
    by_header: bool = True

    @property
    def account(self) -> bool:
        return self.kind == "api_key" and not self.home

    def headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
        if self.target and self.by_header:
            headers["X-Daytona-Organization-ID"] = self.target
        return headers


def expected(rule: Rule, in_path: bool, actor: Actor) -> str:
    """Return what the rule says to the actor: let in, or status and reason. Nothing here asks the product."""
    if rule.public:
        return LET_IN
    if not actor.kind:
        return _UNKNOWN
    if actor.kind == "service":
        return _to_machine(rule, actor)
    acts, role = _where(rule, in_path, actor)
    override = rule.or_system_admin and actor.system_admin
    if rule.organization_role and not acts and not override:
        return "403 ORGANIZATION_FORBIDDEN"
    if actor.kind not in rule.credentials:
        return _UNKNOWN
    if override:
        return LET_IN
    if rule.services and not rule.system_admin:
        return "403 SERVICE_REFUSED"
    if rule.system_admin and not actor.system_admin:
        return "403 SYSTEM_ADMIN_REQUIRED"
    if rule.account and actor.kind == "api_key" and not actor.account:
        return "403 ACCOUNT_KEY_REQUIRED"
    return _inside(rule, actor, role)


def _to_machine(rule: Rule, actor: Actor) -> str:
    if not rule.services:
        return "403 ORGANIZATION_REQUIRED"
    return LET_IN if actor.service in rule.services else "403 SERVICE_REFUSED"


def _where(rule: Rule, in_path: bool, actor: Actor) -> tuple[bool, str]:
    """Return whether the actor may act where the request says, and the role held there; none: nothing was said."""
    if actor.home:
        return not in_path or actor.home == actor.target, actor.role
    if in_path or actor.by_header:
        return bool(actor.role), actor.role
    # An account key acts in its holder's personal organization then.
    return True, "owner" if actor.account else ""


def _inside(rule: Rule, actor: Actor, role: str) -> str:
    if rule.organization_role:
        if not role:
            return "403 ORGANIZATION_REQUIRED"
        if rule.organization_role == "owner" and role != "owner":
            return "403 OWNER_REQUIRED"
        needed = {rule.permission} | ({rule.key_permission} if actor.kind == "api_key" else set())
        if needed - {""} - actor.permissions:
            return "403 PERMISSION_MISSING"
    if rule.read_scope and actor.kind == "api_key":
        listed = actor.permissions & READ_SCOPES
        if listed and rule.read_scope not in listed:
            return "403 PERMISSION_MISSING"
    return LET_IN


class Cast:
    """Makes the actors. The organization they are after is personal: nobody can delete it by mistake."""

    def __init__(self, issuing: Issuing, words: set[str]) -> None:
        self._issuing = issuing
        self._words = sorted(words)
        self._owner = issuing.person()
        self._org = self._owner.personal

    def everybody(self) -> list[Actor]:
        made = [*self._nobody(), *self._machines(), *self._people(), *self._owners_keys()]
        return [*made, *self._other_keys(), *self._account_keys(), *self._administrators()]

    def _nobody(self) -> Iterator[Actor]:
        broken = self._owner.token[:-8] + "AAAAAAAA"
        for name, credential in (
            ("anonymous", ""),
            ("garbage", "nonsense"),
            ("an unknown key", "dtn_" + "0" * 64),
            ("a forged token", broken),
            ("an expired token", self._issuing.token(self._owner.sub, exp=1_700_000_000)),
            ("a token for others", self._issuing.token(self._owner.sub, aud="others")),
        ):
            yield Actor(name, "", credential, target=self._org)

    def _machines(self) -> Iterator[Actor]:
        for name, secret in self._issuing.machines().items():
            yield Actor(f"machine {name}", "service", secret, target=self._org, service=name)
        yield from self._machines_of_a_region()

    def _machines_of_a_region(self) -> Iterator[Actor]:
        somebody = self._issuing.person()
        urls = dict.fromkeys(
            ("proxyUrl", "sshGatewayUrl", "snapshotManagerUrl"), "https://r.example"
        )
        body = {"name": "matrix", **urls}
        made = self._issuing.post("/regions", somebody.token, body, somebody.personal)
        for name, key in (
            ("region-proxy", made["proxyApiKey"]),
            ("region-ssh-gateway", made["sshGatewayApiKey"]),
        ):
            yield Actor(f"machine {name}", "service", key, target=self._org, service=name)
        # It opens the region's registry, and no door here.
        yield Actor("a registry's password", "", made["snapshotManagerPassword"], target=self._org)

    def _people(self) -> Iterator[Actor]:
        owner = self._person("owner", self._owner, "owner", ALL)
        yield owner
        yield replace(owner, name="owner without header", by_header=False)
        yield self._person("outsider", self._issuing.person(), "", frozenset())
        yield self._member("viewer", frozenset())
        for word in self._words:
            if word not in READ_SCOPES:
                yield self._member(f"member with {word}", frozenset({word}))
                yield self._member(f"member with all but {word}", PLAIN - {word})
        other = self._issuing.person()
        self._issuing.suspend(other.personal)
        suspended = self._person("owner of a suspended one", other, "owner", ALL)
        yield replace(suspended, target=other.personal)

    def _owners_keys(self) -> Iterator[Actor]:
        yield self._key("owner's key with none", self._owner, "owner", frozenset())
        yield self._key("owner's key with all", self._owner, "owner", PLAIN)
        for word in self._words:
            scopes = READ_SCOPES if word in READ_SCOPES else frozenset[str]()
            only, rest = frozenset({word}), (PLAIN | scopes) - {word}
            yield self._key(f"owner's key with {word}", self._owner, "owner", only)
            yield self._key(f"owner's key with all but {word}", self._owner, "owner", rest)

    def _other_keys(self) -> Iterator[Actor]:
        """Keys that list more than their holder holds, and keys of other organizations."""
        for name, held in (("a viewer's", frozenset[str]()), ("a powerful member's", PLAIN)):
            holder = self._issuing.person()
            # Made while everything is held: of it, only what is held when the key is used shall count.
            role = self._issuing.join(holder.sub, self._org, ALL)
            wide = self._key(f"{name} key with all", holder, "member", PLAIN)
            scoped = self._key(
                f"{name} key with read:roles", holder, "member", READ_SCOPES & {"read:roles"}
            )
            if not held:
                self._issuing.system.sql(
                    "orgs", "DELETE FROM member_roles WHERE role_id = $1", role
                )
            yield replace(wide, permissions=held)
            yield scoped
        other = self._issuing.person()
        foreign = self._key("a key of another organization", other, "owner", PLAIN, other.personal)
        yield replace(foreign, target=self._org)
        suspended = self._issuing.person()
        self._issuing.suspend(suspended.personal)
        yield self._key("a suspended one's key", suspended, "owner", PLAIN, suspended.personal)

    def _account_keys(self) -> Iterator[Actor]:
        for role in ("owner", "member", ""):
            email = f"{role or 'stranger'}@local.example"
            secret = self._issuing.system.ratoon("user", "add", email).split()[-1]
            (me,) = {self._issuing.get("/users/me", secret)["id"]}
            listed = self._issuing.get("/organizations", secret)
            target = listed[0]["id"] if role == "owner" else self._org
            if role == "member":
                self._issuing.join(me, target)
            held = {"owner": ALL, "member": READ_SCOPES, "": frozenset[str]()}[role]
            name = f"account key of {'a' if role else 'no'} {role or 'member'}"
            actor = Actor(name, "api_key", secret, me, target, role, held)
            yield actor
            homeless = replace(actor, name=f"{name}, no header", by_header=False)
            if role == "owner":
                yield homeless

    def _administrators(self) -> Iterator[Actor]:
        key = self._issuing.system.key
        yield Actor(
            "administrator's account key", "api_key", key, target=self._org, system_admin=True
        )
        person = self._issuing.administrator("auth0|administrator")
        admin = self._person("administrator", person, "", frozenset())
        yield replace(admin, system_admin=True)
        yield replace(
            admin, name="administrator without header", system_admin=True, by_header=False
        )
        # Made without that power: it has none.
        yield self._key("administrator's ordinary key", person, "owner", PLAIN, person.personal)

    def _member(self, name: str, permissions: frozenset[str]) -> Actor:
        person = self._issuing.person()
        self._issuing.join(person.sub, self._org, permissions)
        return self._person(name, person, "member", permissions)

    def _person(self, name: str, who: Person, role: str, held: frozenset[str]) -> Actor:
        return Actor(name, "oidc", who.token, who.sub, self._org, role, held)

    def _key(
        self, name: str, holder: Person, role: str, listed: frozenset[str], home: str = ""
    ) -> Actor:
        home = home or self._org
        secret = self._issuing.key(holder, home, listed)
        return Actor(name, "api_key", secret, holder.sub, home, role, listed, home)
