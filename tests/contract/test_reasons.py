"""Every refusal is part of the contract: its reason stands in a comment of the protos, and in a test."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from chassis.errors import Refusal

_ROOT = Path(__file__).parents[2]
# What the gateway refuses by itself never travels by RPC; it is described by the served document.
_PACKAGES = ("chassis", "services.auth", "services.orgs", "services.snapshots")


def _all(base: type[Refusal]) -> set[type[Refusal]]:
    return {base} | {c for child in base.__subclasses__() for c in _all(child)}


def _reasons() -> list[str]:
    for package in _PACKAGES:
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if not module.name.endswith("__main__") and ".migrations" not in module.name:
                importlib.import_module(module.name)
    ours = [c for c in _all(Refusal) if c.__module__.startswith(_PACKAGES) and "reason" in vars(c)]
    return sorted({c.reason for c in ours})


@pytest.mark.parametrize("reason", _reasons())
def test_a_reason_is_written_down_and_tested(reason: str) -> None:
    protos = "".join(p.read_text() for p in (_ROOT / "protos" / "ratoon").rglob("*.proto"))
    assert reason in protos, "no RPC's comment names it"
    tests = (p for p in (_ROOT / "tests").rglob("*.py") if p != Path(__file__))
    assert any(reason in p.read_text() for p in tests), "no test asks for it"
