"""What a token for the installation's own registry grants."""

import pytest

from services.snapshots.domain.grants import PULL, PUSH, Access, granted, registry_id

MINE = "00000000-0000-4000-8000-00000000aaaa"
THEIRS = "00000000-0000-4000-8000-00000000bbbb"


def test_what_is_asked_in_the_own_project_is_granted() -> None:
    asked = [
        f"repository:{MINE}/x:pull,push repository:{MINE}/y/z:push",
        f"repository:{MINE}/a--b/c__d.e:pull",
        f"repository:{MINE}/x:pull",
    ]
    assert granted(asked, MINE, (PULL, PUSH)) == [
        Access(f"{MINE}/x", (PULL, PUSH)),
        Access(f"{MINE}/y/z", (PUSH,)),
        Access(f"{MINE}/a--b/c__d.e", (PULL,)),
    ]


@pytest.mark.parametrize(
    "scope",
    [
        f"repository:{THEIRS}/x:pull,push",
        f"repository:{MINE}:pull,push",
        f"repository:{MINE}x/y:pull,push",
        f"repository:x/{MINE}/y:pull",
        f"repository:{MINE}/../{THEIRS}/x:pull",
        f"repository:{MINE}//x:pull",
        f"repository:{MINE}/x:delete",
        f"repository:{MINE}/x:*",
        f"repository(plugin):{MINE}/x:pull",
        f"repository:{MINE}/{'x' * 400}:pull",
        "registry:catalog:*",
        "repository:*:pull",
        "",
        "nonsense",
        "repository:" + "a-" * 5_000 + "!:pull",
    ],
)
def test_anything_else_is_not(scope: str) -> None:
    assert granted([scope], MINE, (PULL, PUSH)) == []


def test_what_only_pulls_does_not_push() -> None:
    assert granted([f"repository:{MINE}/x:pull,push"], MINE, (PULL,)) == [
        Access(f"{MINE}/x", (PULL,))
    ]
    assert granted([f"repository:{MINE}/x:push"], MINE, (PULL,)) == []


def test_a_registry_always_has_the_same_id() -> None:
    assert registry_id("a:1") == registry_id("a:1") != registry_id("a:2")
