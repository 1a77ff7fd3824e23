"""A change on condition: made at the revision it names, refused at any other."""

import pytest

from chassis.revisions import RevisionMismatch, check_revision
from ratoon.orgs.v1.role_service_pb2 import DeleteRoleRequest


def test_without_a_condition_any_revision_will_do() -> None:
    check_revision(7, DeleteRoleRequest())


def test_the_revision_it_names_will_do() -> None:
    check_revision(7, DeleteRoleRequest(if_revision=7))


@pytest.mark.parametrize("named", [0, 6, 8])
def test_another_is_refused(named: int) -> None:
    with pytest.raises(RevisionMismatch) as refused:
        check_revision(7, DeleteRoleRequest(if_revision=named))
    assert (refused.value.reason, refused.value.metadata) == (
        "REVISION_MISMATCH",
        {"revision": "7"},
    )
