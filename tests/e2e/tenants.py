"""People, organizations and keys of a whole system that trusts the issuer of the tests."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from bench.system import System
from tests.issuer import TestIssuer

JSON = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Somebody who logged in: the subject, an access token, and the personal organization."""

    sub: str
    token: str
    personal: str

    @property
    def email(self) -> str:
        return f"{self.sub.replace('|', '-')}@example.org"


@dataclass(frozen=True)
class Issuing:
    """A system and the issuer that it trusts.

    What has a short way by API goes that way. Memberships and roles are written into the database, as a restored backup
    would have them: none of it is cached anywhere yet, and the tests are not about how people get in.
    """

    system: System
    issuer: TestIssuer

    def token(self, sub: str, **claims: Any) -> str:
        """Return a token that lasts as long as any test; one for the same person is another each time."""
        told = {"email": f"{sub.replace('|', '-')}@example.org", "name": sub, "jti": uuid4().hex}
        return self.issuer.token(**{"sub": sub, "exp": int(time.time()) + 7_200, **told, **claims})

    def person(self, sub: str = "") -> Person:
        """Have somebody log in for the first time."""
        sub = sub or f"auth0|{uuid4().hex[:12]}"
        token = self.token(sub)
        listed = self.get("/organizations", token)
        return Person(sub, token, next(str(o["id"]) for o in listed if o["personal"]))

    def administrator(self, sub: str) -> Person:
        """Make somebody who logged in an administrator; the token is new, so that nothing of it is cached."""
        person = self.person(sub)
        self.system.sql("auth", "UPDATE users SET system_role = 'admin' WHERE id = $1", sub)
        return Person(sub, self.token(sub), person.personal)

    def organization(self, owner: Person, name: str = "Shop") -> str:
        made = self.post("/organizations", owner.token, {"name": name, "defaultRegionId": "us"})
        return str(made["id"])

    def join(
        self, sub: str, organization: str, permissions: Iterable[str] = (), role: str = "member"
    ) -> str:
        """Make a person a member who holds a role of these permissions; return the role's id, if there is one."""
        sql, wanted = self.system.sql, list(permissions)
        member = "INSERT INTO members (organization_id, user_id, role) VALUES ($1, $2, $3)"
        sql("orgs", member, organization, sub, role)
        if not wanted:
            return ""
        id_ = self.role(organization, wanted)
        assigned = (
            "INSERT INTO member_roles (organization_id, user_id, role_id) VALUES ($1, $2, $3)"
        )
        sql("orgs", assigned, organization, sub, id_)
        return id_

    def role(self, organization: str, permissions: list[str], name: str = "a role") -> str:
        id_ = str(uuid4())
        self.system.sql(
            "orgs",
            "INSERT INTO roles (id, organization_id, name, description, permissions)"
            " VALUES ($1, $2, $3, '', $4)",
            id_,
            organization,
            name,
            permissions,
        )
        return id_

    def invitation(self, organization: str, email: str, by: str) -> str:
        id_ = str(uuid4())
        self.system.sql(
            "orgs",
            "INSERT INTO invitations (id, organization_id, email, invited_by, role, expires_at, status)"
            " VALUES ($1, $2, $3, $4, 'member', now() + interval '7 days', 'pending')",
            id_,
            organization,
            email,
            by,
        )
        return id_

    def key(self, holder: Person, organization: str, permissions: Iterable[str]) -> str:
        """Make a key of the organization and return its secret."""
        body = {"name": uuid4().hex, "permissions": sorted(permissions)}
        return str(self.post("/api-keys", holder.token, body, organization)["value"])

    def suspend(self, organization: str) -> None:
        path = f"/organizations/{organization}/suspend"
        self.request("POST", path, self.system.key, body={"reason": "a test"})

    def machines(self) -> dict[str, str]:
        """Return the secrets of the installation's machines."""
        file = self.system.home / "secrets" / "service-credentials.json"
        found: dict[str, str] = json.loads(file.read_text())
        return found

    def get(self, path: str, token: str, organization: str = "") -> Any:
        return self.request("GET", path, token, organization).json()

    def post(self, path: str, token: str, body: JSON, organization: str = "") -> Any:
        return self.request("POST", path, token, organization, body).json()

    def request(
        self, method: str, path: str, token: str, organization: str = "", body: JSON | None = None
    ) -> httpx.Response:
        """Ask for something that must succeed."""
        headers = {"Authorization": f"Bearer {token}"}
        if organization:
            headers["X-Daytona-Organization-ID"] = organization
        url = f"{self.system.url}{path}"
        answer = httpx.request(method, url, headers=headers, json=body, timeout=60)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer
