"""Who may call what is said once, in the contract, for everything that can be called."""

from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from chassis.grpc.access import Rule, rules
from gateway.access import RULES, router, rule_of
from gateway.app import application
from gateway.clients import AUTH, ORGS, SNAPSHOTS
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.snapshots.v1 import snapshot_use_service_pb2
from tests.contract.access_table import table

ROOT = Path(__file__).parents[2]

METHODS = {
    f"/{service.full_name}/{method.name}"
    for file in (*AUTH, *ORGS, *SNAPSHOTS)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
ROUTES = {
    route.operation_id or "": route
    for route in application("1").routes
    if isinstance(route, APIRoute)
}
# Operations with a rule of their own, because no RPC is behind them.
WITHOUT_RPC = {
    "getCurrentApiKey",
    "ConfigController_getConfig",
    "HealthController_live",
    "HealthController_check",
    "getAuditScenarios",
    # The registry's clients show no credential of ours; what is behind it serves the gateway alone.
    "getRegistryToken",
}
PUBLIC = {"listSharedRegions", "ConfigController_getConfig", "HealthController_live"} | {
    "getAuditScenarios",
    "getRegistryToken",
}


def test_every_rpc_has_a_rule() -> None:
    assert set(RULES) == METHODS
    assert set(rules([event_feed_service_pb2])) == {"/ratoon.events.v1.EventFeedService/Watch"}
    uses = rules([snapshot_use_service_pb2])
    assert {name.rpartition("/")[2] for name in uses} == {"ResolveForUse", "RecordUses"}
    assert {rule.services for rule in uses.values()} == {frozenset({"sandboxes"})}


def test_the_table_of_who_may_call_what_is_as_it_was_reviewed() -> None:
    """The other tests take what they expect from the protos: a rule that was loosened there shows here."""
    assert (ROOT / "docs" / "access.md").read_text() == table()


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_every_operation_is_guarded_by_the_rule_of_its_rpc(name: str) -> None:
    rule = rule_of(ROUTES[name].endpoint)
    assert (rule in RULES.values()) or name in WITHOUT_RPC
    assert rule.public == (name in PUBLIC)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_lets_somebody_in_and_not_everybody(rule: Rule) -> None:
    assert rule.public or rule.credentials
    assert not (rule.public and rule.credentials)
    assert bool(rule.services) == ("service" in rule.credentials)
    assert not (rule.permission or rule.key_permission) or rule.organization_role


def test_an_operation_without_a_rule_cannot_be_served() -> None:
    operations = router("/x")
    with pytest.raises(TypeError, match="who may call"):

        @operations.get("")
        async def unguarded() -> None: ...
