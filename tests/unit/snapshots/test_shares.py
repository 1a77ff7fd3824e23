"""Who may start from what."""

import pytest

from chassis.errors import Refusal
from services.snapshots.domain import Right, check_usable_by, may_use, rights, usable_by


@pytest.mark.parametrize(
    ("owner", "general", "shared", "usable"),
    [
        ("me", False, None, True),
        ("me", True, None, True),
        ("other", True, None, True),
        ("other", True, False, True),
        ("other", False, True, True),
        ("other", False, False, False),
        ("other", False, None, False),
    ],
)
def test_own_general_and_what_is_shared_for_use(
    owner: str, general: bool, shared: bool | None, usable: bool
) -> None:
    said = {"owner_id": owner, "general": general, "shared_use": shared}
    assert usable_by("me", **said) is usable  # type: ignore[arg-type]  # as they are named
    if usable:
        check_usable_by("me", **said)  # type: ignore[arg-type]  # as above
        return
    with pytest.raises(Refusal) as refused:
        check_usable_by("me", **said)  # type: ignore[arg-type]  # as above
    assert refused.value.reason == "SNAPSHOT_USE_FORBIDDEN"


def test_use_implies_read() -> None:
    assert may_use([Right.USE])
    assert may_use([Right.READ, Right.USE])
    assert not may_use([Right.READ])
    assert rights(use=True) == [Right.READ, Right.USE]
    assert rights(use=False) == [Right.READ]
    with pytest.raises(Refusal) as refused:
        may_use([])
    assert refused.value.reason == "SHARE_RIGHTS_INVALID"
