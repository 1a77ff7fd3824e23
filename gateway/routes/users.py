"""/users: REST in front of UserService."""

from fastapi import APIRouter

from gateway.access import AccessRoute, guarded
from gateway.call import Call
from gateway.links import PREFIX
from gateway.schemas.errors import errors
from gateway.schemas.users import User, user_from_proto
from ratoon.auth.v1 import user_service_pb2 as pb

router = APIRouter(prefix=f"{PREFIX}/users", tags=["users"], route_class=AccessRoute)


@router.get(
    "/me",
    operation_id="getAuthenticatedUser",
    summary="Get the caller",
    response_model=User,
    responses=errors(404),
)
@guarded("auth.UserService/GetCurrentUser")
async def get_authenticated_user(call: Call) -> User:
    answer = await call.rpc(call.services.users.GetCurrentUser, pb.GetCurrentUserRequest())
    return user_from_proto(answer.user)
