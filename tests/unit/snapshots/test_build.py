"""What a build is recognized by, and what it may be."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.snapshots.domain import Recipe, recipe
from services.snapshots.domain.refusals import ContextHashInvalid, DockerfileInvalid

A, B = UUID(int=1), UUID(int=2)


def test_the_public_name_is_made_as_published() -> None:
    said = hashlib.sha256(b"FROM a\n" + b"abc" + b"def").hexdigest()
    assert recipe("FROM a\n", ["def", "abc"]).ref == f"daytona-{said}:daytona"


def test_parts_never_run_together() -> None:
    """What the public name confuses, the key does not."""
    one, other = Recipe("FROM a\nb", ("c",)), Recipe("FROM a\n", ("bc",))
    assert one.ref == other.ref
    assert one.key(A) != other.key(A)


@given(st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), max_size=5))
def test_the_order_of_contexts_does_not_matter(hashes: list[str]) -> None:
    shuffled = sorted(hashes, reverse=True)
    assert recipe("FROM a", hashes).key(A) == recipe("FROM a", shuffled).key(A)


def test_organizations_have_keys_of_their_own() -> None:
    assert recipe("FROM a", ()).key(A) != recipe("FROM a", ()).key(B)


@pytest.mark.parametrize("hash_", ["", "../up", "a/b", "a b", "ü", "x" * 129, "a\n"])
def test_hashes_that_could_lead_elsewhere(hash_: str) -> None:
    with pytest.raises(ContextHashInvalid) as refused:
        recipe("FROM a", [hash_])
    assert refused.value.reason == "CONTEXT_HASH_INVALID"


@pytest.mark.parametrize("text", ["FROM a\0", "#" * 300_000])
def test_texts_that_are_no_dockerfiles(text: str) -> None:
    with pytest.raises(DockerfileInvalid) as refused:
        recipe(text, ())
    assert refused.value.reason == "DOCKERFILE_INVALID"
