"""Registries, made up."""

from typing import Any
from uuid import UUID

from ratoon.snapshots.v1 import registry_pb2, registry_service_pb2_grpc
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from tests.gateway_fakes.calls import ORG, STAMP, Calls

ID = str(UUID(int=7, version=4))


class FakeRegistries(registry_service_pb2_grpc.RegistryServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()

    async def CreateRegistry(
        self, request: pb.CreateRegistryRequest, context: Any
    ) -> pb.CreateRegistryResponse:
        await self.calls.heard("CreateRegistry", request, context)
        return pb.CreateRegistryResponse(registry=a_registry(name=request.name))

    async def ListRegistries(
        self, request: pb.ListRegistriesRequest, context: Any
    ) -> pb.ListRegistriesResponse:
        await self.calls.heard("ListRegistries", request, context)
        return pb.ListRegistriesResponse(registries=[a_registry(), a_registry(name="old")])

    async def GetRegistry(
        self, request: pb.GetRegistryRequest, context: Any
    ) -> pb.GetRegistryResponse:
        await self.calls.heard("GetRegistry", request, context)
        return pb.GetRegistryResponse(registry=a_registry())

    async def UpdateRegistry(
        self, request: pb.UpdateRegistryRequest, context: Any
    ) -> pb.UpdateRegistryResponse:
        await self.calls.heard("UpdateRegistry", request, context)
        return pb.UpdateRegistryResponse(registry=a_registry(name=request.name))

    async def DeleteRegistry(
        self, request: pb.DeleteRegistryRequest, context: Any
    ) -> pb.DeleteRegistryResponse:
        await self.calls.heard("DeleteRegistry", request, context)
        return pb.DeleteRegistryResponse()

    async def SetDefaultRegistry(
        self, request: pb.SetDefaultRegistryRequest, context: Any
    ) -> pb.SetDefaultRegistryResponse:
        await self.calls.heard("SetDefaultRegistry", request, context)
        return pb.SetDefaultRegistryResponse(registry=a_registry(default=True))

    async def TestRegistry(
        self, request: pb.TestRegistryRequest, context: Any
    ) -> pb.TestRegistryResponse:
        await self.calls.heard("TestRegistry", request, context)
        return pb.TestRegistryResponse(ok=False, code="REGISTRY_TLS", reason="no certificate")

    async def IssuePushAccess(
        self, request: pb.IssuePushAccessRequest, context: Any
    ) -> pb.IssuePushAccessResponse:
        await self.calls.heard("IssuePushAccess", request, context)
        return pb.IssuePushAccessResponse(
            username="u",
            secret="s",
            registry_url="127.0.0.1:5000",
            registry_id=ID,
            project=ORG,
            expire_time=STAMP,
        )

    async def IssueRegistryToken(
        self, request: pb.IssueRegistryTokenRequest, context: Any
    ) -> pb.IssueRegistryTokenResponse:
        await self.calls.heard("IssueRegistryToken", request, context)
        return pb.IssueRegistryTokenResponse(token="t", expires_in=300, issue_time=STAMP)


def a_registry(**more: Any) -> registry_pb2.Registry:
    fields: dict[str, Any] = {
        "id": ID,
        "organization_id": ORG,
        "name": "hub",
        "url": "docker.io",
        "username": "me",
        "project": "",
        "create_time": STAMP,
        "update_time": STAMP,
        "revision": 3,
    }
    return registry_pb2.Registry(**fields | more)
