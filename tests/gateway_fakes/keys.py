"""auth's keys and people, made up."""

from typing import Any

from chassis.grpc.interceptors import current_caller
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    user_pb2,
    user_service_pb2,
    user_service_pb2_grpc,
)
from tests.gateway_fakes.auth import a_key
from tests.gateway_fakes.calls import ORG, STAMP, USER, Calls


class FakeApiKeys(api_key_service_pb2_grpc.ApiKeyServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()

    async def CreateApiKey(
        self, request: api_key_service_pb2.CreateApiKeyRequest, context: Any
    ) -> api_key_service_pb2.CreateApiKeyResponse:
        await self.calls.heard("CreateApiKey", request, context)
        key = a_key(current_caller.get(), request.name)
        del key.permissions[:]
        key.permissions.extend(request.permissions)
        if request.HasField("expire_time"):
            key.expire_time.CopyFrom(request.expire_time)
        return api_key_service_pb2.CreateApiKeyResponse(api_key=key, secret="dtn_" + "f" * 64)

    async def ListApiKeys(
        self, request: api_key_service_pb2.ListApiKeysRequest, context: Any
    ) -> api_key_service_pb2.ListApiKeysResponse:
        await self.calls.heard("ListApiKeys", request, context)
        if request.page_token:
            return api_key_service_pb2.ListApiKeysResponse()
        keys = [a_key(current_caller.get(), name) for name in ("ci", "laptop")]
        keys[1].last_use_time.CopyFrom(STAMP)
        return api_key_service_pb2.ListApiKeysResponse(
            api_keys=keys, next_page_token="next" if request.page_size else ""
        )

    async def GetApiKey(
        self, request: api_key_service_pb2.GetApiKeyRequest, context: Any
    ) -> api_key_service_pb2.GetApiKeyResponse:
        await self.calls.heard("GetApiKey", request, context)
        key = a_key(current_caller.get(), request.name)
        return api_key_service_pb2.GetApiKeyResponse(api_key=key)

    async def UpdateApiKey(
        self, request: api_key_service_pb2.UpdateApiKeyRequest, context: Any
    ) -> api_key_service_pb2.UpdateApiKeyResponse:
        await self.calls.heard("UpdateApiKey", request, context)
        key = a_key(current_caller.get(), request.name)
        key.revision += 1
        return api_key_service_pb2.UpdateApiKeyResponse(api_key=key)

    async def RotateApiKey(
        self, request: api_key_service_pb2.RotateApiKeyRequest, context: Any
    ) -> api_key_service_pb2.RotateApiKeyResponse:
        await self.calls.heard("RotateApiKey", request, context)
        key = a_key(current_caller.get(), request.name)
        key.revision += 1
        key.previous_expire_time.CopyFrom(STAMP)
        return api_key_service_pb2.RotateApiKeyResponse(api_key=key, secret="dtn_" + "e" * 64)

    async def DeleteApiKey(
        self, request: api_key_service_pb2.DeleteApiKeyRequest, context: Any
    ) -> api_key_service_pb2.DeleteApiKeyResponse:
        await self.calls.heard("DeleteApiKey", request, context)
        return api_key_service_pb2.DeleteApiKeyResponse()


class FakeUsers(user_service_pb2_grpc.UserServiceServicer):
    def __init__(self) -> None:
        self.calls = Calls()

    async def GetCurrentUser(
        self, request: user_service_pb2.GetCurrentUserRequest, context: Any
    ) -> user_service_pb2.GetCurrentUserResponse:
        await self.calls.heard("GetCurrentUser", request, context)
        user = user_pb2.User(id=current_caller.get().user_id, create_time=STAMP, name="Ada")
        user.email, user.email_verified = "ada@example.com", True
        return user_service_pb2.GetCurrentUserResponse(user=user)

    async def CreateUser(
        self, request: user_service_pb2.CreateUserRequest, context: Any
    ) -> user_service_pb2.CreateUserResponse:
        await self.calls.heard("CreateUser", request, context)
        made = _user(request.id or "made-up", name=request.name, email=request.email)
        if request.system_admin:
            made.system_role = access_pb2.SYSTEM_ROLE_ADMIN
        return user_service_pb2.CreateUserResponse(user=made, organization_id=ORG)

    async def ListUsers(
        self, request: user_service_pb2.ListUsersRequest, context: Any
    ) -> user_service_pb2.ListUsersResponse:
        await self.calls.heard("ListUsers", request, context)
        users = [_user(USER, public_key="ssh-ed25519 AAAA"), _user("bob", disable_time=STAMP)]
        return user_service_pb2.ListUsersResponse(users=users, next_page_token="next")

    async def GetUser(
        self, request: user_service_pb2.GetUserRequest, context: Any
    ) -> user_service_pb2.GetUserResponse:
        await self.calls.heard("GetUser", request, context)
        return user_service_pb2.GetUserResponse(user=_user(request.user_id))

    async def SetUserDisabled(
        self, request: user_service_pb2.SetUserDisabledRequest, context: Any
    ) -> user_service_pb2.SetUserDisabledResponse:
        await self.calls.heard("SetUserDisabled", request, context)
        return user_service_pb2.SetUserDisabledResponse(user=_user(request.user_id))

    async def RegenerateKeyPair(
        self, request: user_service_pb2.RegenerateKeyPairRequest, context: Any
    ) -> user_service_pb2.RegenerateKeyPairResponse:
        await self.calls.heard("RegenerateKeyPair", request, context)
        user = _user(request.user_id, public_key="ssh-ed25519 AAAA")
        return user_service_pb2.RegenerateKeyPairResponse(user=user, private_key="PRIVATE")


def _user(id_: str, **fields: Any) -> user_pb2.User:
    return user_pb2.User(**{"id": id_, "create_time": STAMP, "name": "Ada", **fields})
