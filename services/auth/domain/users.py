"""People as an administrator of the installation makes and disables them."""

from dataclasses import dataclass
from uuid import uuid4

from chassis.errors import Kind, Refusal
from services.auth.domain.display import displayable
from services.auth.domain.people import SystemRole, fit_email, possible_id


class UserExists(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "USER_EXISTS"


class UserIdInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "USER_ID_INVALID"


class UserNameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "USER_NAME_INVALID"


class LastAdmin(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "LAST_ADMIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A person that is wanted. Whoever got an id is the issuer's; whoever got none was made here."""

    id: str
    name: str
    email: str
    email_verified: bool
    system_role: SystemRole
    local: bool


def drafted(id_: str, name: str, email: str, *, email_verified: bool, system_admin: bool) -> Draft:
    """Return the person that is wanted, if there can be one."""
    if id_ and (id_ != id_.strip() or not possible_id(id_)):
        raise UserIdInvalid("an id has 1 to 255 characters and stands for no service account")
    if not displayable(name):
        raise UserNameInvalid(
            "a name has 1 to 255 characters and no markup, link or control character"
        )
    return Draft(
        id=id_ or str(uuid4()),
        name=name,
        email=fit_email(email) if email else "",
        email_verified=email_verified and bool(email),
        system_role=SystemRole.ADMIN if system_admin else SystemRole.USER,
        local=bool(email) and not id_,
    )
