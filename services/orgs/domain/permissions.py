"""What is refused to a member whose roles do not permit it."""

from chassis.errors import Kind, Refusal


class PermissionMissing(Refusal):
    """What the door says when auth already knows: who lost a role a moment ago cannot tell the difference."""

    kind, reason = Kind.PERMISSION_DENIED, "PERMISSION_MISSING"

    def __init__(self, permission: str) -> None:
        super().__init__(f"{permission} is required", permission=permission)
