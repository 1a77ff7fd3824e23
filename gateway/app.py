"""The application: routes, what they share, and the edge around them."""

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chassis.grpc.caller import Identity
from gateway import page, published
from gateway.access import failed
from gateway.addresses import Peers
from gateway.auth import Authenticator
from gateway.clients import Services
from gateway.edge import Asgi, Edge
from gateway.errors import Problem
from gateway.fairness import Turns
from gateway.limits.limits import Limits
from gateway.live.rooms import Rooms
from gateway.openapi import document
from gateway.paths import PREFIX
from gateway.refusals import Refusals
from gateway.routes import (
    account_links,
    admin_organizations,
    admin_registries,
    admin_snapshots,
    admin_users,
    admin_webhooks,
    api_keys,
    audit,
    custom_regions,
    installation,
    invitations,
    key_changes,
    members,
    object_storage,
    organization_settings,
    organizations,
    own_invitations,
    quotas,
    regions,
    registries,
    registry_access,
    roles,
    service_account_keys,
    shares,
    snapshot_bulk,
    snapshots,
    users,
    versions,
    webhook_messages,
    webhooks,
)
from gateway.schemas.config import DaytonaConfiguration
from gateway.schemas.organizations import Shown
from gateway.streams import Streams
from gateway.uses import KeyUses
from gateway.visit import SCOPE_KEY

_MODULES = (
    snapshots,
    shares,
    versions,
    # After all that is of one snapshot: `bulk` may be the name of one.
    snapshot_bulk,
    api_keys,
    key_changes,
    # Before the organizations: `invitations` is no id of one.
    own_invitations,
    organizations,
    organization_settings,
    quotas,
    admin_organizations,
    admin_snapshots,
    members,
    roles,
    invitations,
    users,
    regions,
    custom_regions,
    audit,
    service_account_keys,
    account_links,
    admin_users,
    # Before the registries: `registry-push-access` is no id of one.
    registry_access,
    registries,
    admin_registries,
    object_storage,
    webhooks,
    webhook_messages,
    admin_webhooks,
    installation,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What all requests share."""

    services: Services
    identity: Identity
    authenticator: Authenticator
    uses: KeyUses
    refusals: Refusals
    peers: Peers
    lists: Turns
    shown: Shown
    configuration: DaytonaConfiguration
    limits: Limits
    rooms: Rooms
    streams: Streams
    version: str
    public_url: str = ""
    maintenance: bool = False
    access_log: bool = False


def create_app(gateway: Gateway, cors_origins: tuple[str, ...] = ()) -> Asgi:
    """Return the ASGI application."""
    return Edge(_with_cors(application(gateway.version), cors_origins), gateway)


def application(version: str) -> FastAPI:
    """Return the routes alone, as the document describes them."""
    app = FastAPI(
        title="Ratoon",
        version=version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for module in _MODULES:
        # As they are: including a router would wrap each of its routes once more.
        app.router.routes += module.operations.routes
    described = document(app)
    app.router.routes += [
        Route(f"{PREFIX}/openapi.json", _constant(described, "application/json"), methods=["GET"]),
        Route(f"{PREFIX}/docs", _docs, methods=["GET"]),
    ]
    app.add_exception_handler(HTTPException, _not_served)
    return app


def _with_cors(app: FastAPI, origins: tuple[str, ...]) -> FastAPI:
    """Let the pages of these origins call the API; of no other."""
    if origins:
        # Imported where it is wanted: an installation without a page of another origin has no use for it.
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=["X-Daytona-Api-Version", "X-Request-Id", "Retry-After"],
        )
    return app


def _constant(body: bytes, media_type: str) -> Any:
    async def answer(_: Request) -> Response:
        return Response(body, media_type=media_type)

    return answer


async def _docs(_: Request) -> Response:
    return HTMLResponse(page.HTML, headers={"content-security-policy": page.POLICY})


async def _not_served(request: Request, _: Exception) -> Response:
    """Answer what no route took: not offered yet, wrong method, or unknown."""
    scope = request.scope
    path: str = scope["path"]
    known = published.methods(path.removeprefix(PREFIX)) if path.startswith(PREFIX + "/") else ()
    if scope["method"] in known:
        message = "this operation is published, but this installation does not offer it"
        problem = Problem(501, "NOT_IMPLEMENTED", message)
    elif known or path in (f"{PREFIX}/openapi.json", f"{PREFIX}/docs"):
        allowed = {"allow": ", ".join(sorted(known or ("GET",)))}
        problem = Problem(405, "METHOD_NOT_ALLOWED", f"not with {scope['method']}", allowed)
    else:
        problem = Problem(404, "ROUTE_NOT_FOUND", "there is no such path")
    return failed(scope[SCOPE_KEY], scope, problem)
