"""What needs the heavy libraries, run as a short-lived child: `python -m deploy.local.operator COMMAND`.

The supervisor stays small because it imports neither gRPC nor cryptography; it starts this and reads its answer, one
JSON object on standard output. A problem is one line on standard error and exit code 1.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.local.registry import CERTIFICATE, KEY
from deploy.local.state import write_private

# Nothing but the files themselves ever replaces it: it must not end by itself.
_CERTIFICATE_DAYS = 36_500
IDENTITIES = ("auth", "orgs", "snapshots", "gateway", "operator")


def make_identities(folder: Path) -> None:
    """Make the key pairs that are missing, and the list of all public keys."""
    keys = []
    for name in IDENTITIES:
        raw = _public_key(folder / f"identity-{name}.pem")
        public = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        kid = hashlib.sha256(raw).hexdigest()[:16]
        keys.append({"issuer": name, "kid": kid, "public": public})
    write_private(folder / "trust.json", json.dumps({"keys": keys}, indent=2) + "\n")


def _public_key(path: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    if path.exists():
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise SystemExit(f"{path} holds no Ed25519 key: restore it from a backup")
    else:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(path, pem.decode())
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def make_registry_key(folder: Path) -> None:
    """Make the key that tokens for the own registry are signed with, and the certificate that the registry trusts."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ratoon registry tokens")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / KEY, pem.decode())
    # Last: where it is, the key is.
    write_private(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM).decode())


async def _ensure_admin(call: Any, parsed: argparse.Namespace) -> dict[str, Any]:
    """Make the administrator at the first start; later answers carry no secret."""
    from ratoon.auth.v1 import user_service_pb2 as pb

    answer = await call("EnsureAdmin", pb.EnsureAdminRequest(email=parsed.email))
    return {"email": answer.user.email, "secret": answer.secret}


async def _add_user(call: Any, parsed: argparse.Namespace) -> dict[str, Any]:
    from ratoon.auth.v1 import user_service_pb2 as pb

    request = pb.AddUserRequest(email=parsed.email, name=parsed.name, system_admin=parsed.admin)
    answer = await call("AddUser", request)
    return {"email": answer.user.email, "created": answer.created, "secret": answer.secret}


async def _issue_key(call: Any, parsed: argparse.Namespace) -> dict[str, Any]:
    from ratoon.auth.v1 import user_service_pb2 as pb

    request = pb.IssueAccountKeyRequest(email=parsed.email, name=parsed.name)
    answer = await call("IssueAccountKey", request)
    return {"name": answer.api_key.name, "secret": answer.secret}


async def _list_users(call: Any, _: argparse.Namespace) -> dict[str, Any]:
    from ratoon.auth.v1 import user_service_pb2 as pb

    users, token = [], ""
    while True:
        answer = await call("ListUsers", pb.ListUsersRequest(page_size=1_000, page_token=token))
        users += [_user(u) for u in answer.users]
        token = answer.next_page_token
        if not token:
            return {"users": users}


def _setting_disabled(
    disabled: bool,
) -> Callable[[Any, argparse.Namespace], Awaitable[dict[str, Any]]]:
    async def act(call: Any, parsed: argparse.Namespace) -> dict[str, Any]:
        from ratoon.auth.v1 import user_service_pb2 as pb

        request = pb.SetUserDisabledRequest(
            user_id=parsed.id, email=parsed.email, disabled=disabled
        )
        return {"user": _user((await call("SetUserDisabled", request)).user)}

    return act


def _user(said: Any) -> dict[str, Any]:
    from ratoon.access.v1 import access_pb2

    admin = said.system_role == access_pb2.SYSTEM_ROLE_ADMIN
    disabled = said.disable_time.ToJsonString() if said.HasField("disable_time") else None
    return {
        "id": said.id,
        "name": said.name,
        "email": said.email,
        "emailVerified": said.email_verified,
        "role": "admin" if admin else "user",
        "local": said.local,
        "disabledAt": disabled,
        "createdAt": said.create_time.ToJsonString(),
    }


_ACTS: dict[str, Callable[[Any, argparse.Namespace], Awaitable[dict[str, Any]]]] = {
    "ensure-admin": _ensure_admin,
    "add-user": _add_user,
    "issue-key": _issue_key,
    "list-users": _list_users,
    "disable-user": _setting_disabled(disabled=True),
    "enable-user": _setting_disabled(disabled=False),
}


async def _call_auth(parsed: argparse.Namespace) -> dict[str, Any]:
    """Call auth as the operator of the installation."""
    from grpc.aio import AioRpcError

    from chassis.grpc.caller import Identity
    from chassis.grpc.client import channel
    from ratoon.auth.v1 import user_service_pb2
    from ratoon.auth.v1.user_service_pb2_grpc import UserServiceStub

    operator = Identity.load(parsed.identity, service="operator")
    async with channel(parsed.target, user_service_pb2) as open_channel:
        stub = UserServiceStub(open_channel)

        async def call(method: str, request: Any) -> Any:
            return await getattr(stub, method)(request, metadata=operator.metadata())

        try:
            return await _ACTS[parsed.command](call, parsed)
        except AioRpcError as refused:
            raise SystemExit(f"auth refused: {refused.details()}") from refused


def main(arguments: list[str]) -> None:
    parsed = _parser().parse_args(arguments)
    if parsed.command == "identities":
        make_identities(parsed.folder)
        return
    if parsed.command == "registry-key":
        make_registry_key(parsed.folder)
        return
    json.dump(asyncio.run(_call_auth(parsed)), sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.operator")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("identities", "registry-key"):
        commands.add_parser(name).add_argument("folder", type=Path)
    for name in _ACTS:
        command = commands.add_parser(name)
        command.add_argument("--target", required=True)
        command.add_argument("--identity", required=True)
        command.add_argument("--email", default="")
        command.add_argument("--id", default="")
        command.add_argument("--name", default="")
        command.add_argument("--admin", action="store_true")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
