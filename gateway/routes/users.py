"""/users: REST in front of UserService."""

from gateway.access import guarded, router
from gateway.call import Call
from gateway.schemas.errors import errors
from gateway.schemas.users import User, user_from_proto
from ratoon.auth.v1 import user_service_pb2 as pb

operations = router("/users", "users")


@operations.get(
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
