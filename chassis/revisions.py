"""Changes that are wanted only if nobody else made one meanwhile."""

from typing import Any

from chassis.errors import Kind, Refusal


class RevisionMismatch(Refusal):
    kind, reason = Kind.ABORTED, "REVISION_MISMATCH"

    def __init__(self, revision: int) -> None:
        super().__init__("it was changed meanwhile: read it again", revision=str(revision))


def check_revision(current: int, request: Any) -> None:
    """Refuse when a request names a revision (`if_revision`) and what it would change is at another."""
    if request.HasField("if_revision") and request.if_revision != current:
        raise RevisionMismatch(current)
