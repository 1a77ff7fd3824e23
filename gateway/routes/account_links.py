"""/users, what this installation has switched off: other identities of a person, and codes by SMS."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.paths import Segment
from gateway.schemas.errors import errors
from gateway.schemas.users import AccountProvider, CreateLinkedAccount, PendingSsoLink

operations = router("/users", "users")
# Whoever may ask for the own user may be told so; nobody is told more.
_MYSELF = "auth.UserService/GetCurrentUser"


@operations.get(
    "/account-providers",
    operation_id="getAvailableAccountProviders",
    summary="List where else a person may have accounts; switched off",
    response_model=list[AccountProvider],
    responses=errors(404),
)
@guarded(_MYSELF)
async def get_available_account_providers(call: Call) -> list[AccountProvider]:
    raise _no_links()


@operations.post(
    "/linked-accounts",
    operation_id="linkAccount",
    summary="Link another account; switched off",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404, body=True),
)
@guarded(_MYSELF)
async def link_account(call: Call, body: CreateLinkedAccount) -> Response:
    raise _no_links()


@operations.delete(
    "/linked-accounts/{provider:segment}/{providerUserId:segment}",
    operation_id="unlinkAccount",
    summary="Unlink another account; switched off",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded(_MYSELF)
async def unlink_account(call: Call, provider: Segment, providerUserId: Segment) -> Response:
    raise _no_links()


@operations.post(
    "/mfa/sms/enroll",
    operation_id="enrollInSmsMfa",
    summary="Get codes by SMS; switched off",
    response_model=str,
    responses=errors(404),
)
@guarded(_MYSELF)
async def enroll_in_sms_mfa(call: Call) -> str:
    raise Problem(404, "SMS_MFA_DISABLED", "codes by SMS are not offered by this installation")


@operations.get(
    "/me/pending-sso-links",
    operation_id="listPendingSsoLinks",
    summary="List identities that wait to be linked; there are none",
    response_model=list[PendingSsoLink],
    responses=errors(),
)
@guarded(_MYSELF)
async def list_pending_sso_links(call: Call) -> list[PendingSsoLink]:
    return []


@operations.post(
    "/me/pending-sso-links/{id:segment}/confirm",
    operation_id="confirmPendingSsoLink",
    summary="Link an identity that waits for it",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded(_MYSELF)
async def confirm_pending_sso_link(call: Call, id: Segment) -> Response:
    raise _no_such_link()


@operations.delete(
    "/me/pending-sso-links/{id:segment}",
    operation_id="dismissPendingSsoLink",
    summary="Dismiss an identity that waits to be linked",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded(_MYSELF)
async def dismiss_pending_sso_link(call: Call, id: Segment) -> Response:
    raise _no_such_link()


def _no_links() -> Problem:
    message = "accounts are not linked by this installation"
    return Problem(404, "LINKED_ACCOUNTS_DISABLED", message)


def _no_such_link() -> Problem:
    return Problem(404, "PENDING_SSO_LINK_NOT_FOUND", "no such identity waits to be linked")
