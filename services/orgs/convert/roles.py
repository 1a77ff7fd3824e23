"""Roles to protobuf; the order of the columns is that of `queries.columns`."""

from collections.abc import Sequence
from typing import Any

from chassis.grpc.wire import to_timestamp
from ratoon.orgs.v1 import role_pb2 as pb
from services.orgs.convert.times import stamp
from services.orgs.tables import Role


def role_to_proto(columns: Sequence[Any]) -> pb.Role:
    id_, created, updated, name, description, permissions, is_global, revision = columns
    return pb.Role(
        id=id_,
        create_time=stamp(created),
        update_time=stamp(updated),
        name=name,
        description=description,
        permissions=permissions,
        is_global=is_global,
        revision=revision,
    )


def own_role_to_proto(role: Role) -> pb.Role:
    """Return a role of an organization, as a change has left it."""
    return pb.Role(
        id=str(role.id),
        create_time=to_timestamp(role.created_at),
        update_time=to_timestamp(role.updated_at),
        name=role.name,
        description=role.description,
        permissions=role.permissions,
        revision=role.revision,
    )


class Roles:
    """The roles of a list's items: each is converted once, however many hold it."""

    def __init__(self) -> None:
        self._known: dict[str, pb.Role] = {}

    def add(self, to: Any, columns: Sequence[Any]) -> None:
        """Append to a repeated field what the columns say; NULLs: there is no role."""
        id_ = columns[0]
        if id_ is None:
            return
        role = self._known.get(id_)
        if role is None:
            role = self._known[id_] = role_to_proto(columns)
        to.append(role)
