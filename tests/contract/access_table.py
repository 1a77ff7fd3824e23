"""`python -m tests.contract.access_table > docs/access.md`: who may call what, as the protos say it."""

from collections import defaultdict

from fastapi.routing import APIRoute

from chassis.grpc.access import Rule, rules
from gateway.access import RULES, rule_of
from gateway.app import application
from ratoon.events.v1 import event_feed_service_pb2

_HEAD = """# Who may call what

Generated from the access options of the protos by `python -m tests.contract.access_table`; a test compares. A change here is a
change of who is let in: read it as one.

`member` and `owner` are roles in the organization. A permission is asked of members and keys, of an owner's key too; one that is
only asked of keys is marked so. A read scope narrows a key that names any scope. `account`: a key must be an account key.

| RPC | operations | credentials | role | asked for |
|---|---|---|---|---|"""


def table() -> str:
    operations = defaultdict(list)
    for route in application("1").routes:
        if isinstance(route, APIRoute):
            operations[id(rule_of(route.endpoint))].append(route.operation_id or route.name)
    everything = {**RULES, **rules([event_feed_service_pb2])}
    rows = [_row(name, rule, operations[id(rule)]) for name, rule in sorted(everything.items())]
    return "\n".join([_HEAD, *rows]) + "\n"


def _row(name: str, rule: Rule, operations: list[str]) -> str:
    rpc = name.removeprefix("/ratoon.")
    cells = (rpc, ", ".join(sorted(operations)), _credentials(rule), _role(rule), _asked(rule))
    return f"| {' | '.join(cells)} |"


def _credentials(rule: Rule) -> str:
    if rule.public:
        return "none"
    kinds = sorted(rule.credentials - {"service"})
    return ", ".join([*kinds, *(f"service {s}" for s in sorted(rule.services))])


def _role(rule: Rule) -> str:
    if rule.system_admin:
        return "system admin"
    return rule.organization_role + (" or system admin" if rule.or_system_admin else "")


def _asked(rule: Rule) -> str:
    said = {
        "": rule.permission,
        " (of keys)": rule.key_permission,
        " (read scope)": rule.read_scope,
        "account": "account" if rule.account else "",
    }
    return ", ".join(
        "account" if how == "account" else word + how for how, word in said.items() if word
    )


if __name__ == "__main__":
    print(table(), end="")
