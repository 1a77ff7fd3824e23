"""Whether an installation has a builder, and who is told."""

from pathlib import Path

import pytest

from deploy.local.builds import why_not
from deploy.local.plan import METRICS, Site, plan
from deploy.local.state import Home


def _specs(folder: Path, no_builder: str) -> dict[str, dict[str, str]]:
    urls = {
        f"{context}_DATABASE_URL": "postgresql://x" for context in ("AUTH", "ORGS", "SNAPSHOTS")
    }
    ports = {name: 1000 + number for number, name in enumerate(METRICS)}
    site = Site(Home(folder), 1, folder, urls, ports, 1, no_builder=no_builder)
    return {spec.name: dict(spec.environment) for spec in plan(site)}


@pytest.mark.parametrize("why", ["", "no buildah"])
def test_a_builder_runs_where_it_can_and_else_the_server_knows_why(
    tmp_path: Path, why: str
) -> None:
    specs = _specs(tmp_path, why)
    assert ("snapshots-builder" in specs) == (not why)
    told = specs["snapshots"]
    # An empty variable counts as one that is not set.
    assert (told["SNAPSHOTS_BUILDER"], told["SNAPSHOTS_NO_BUILDER"]) == (str(not why).lower(), why)
    if not why:
        builder = specs["snapshots-builder"]
        assert builder["SNAPSHOTS_BUILD_PATH"] == str(tmp_path / "builds")
        assert builder["SNAPSHOTS_STORE_PATH"] == specs["snapshots-worker"]["SNAPSHOTS_STORE_PATH"]
        assert builder["SNAPSHOTS_BUILDER_METRICS_LISTEN"].endswith(str(1000 + len(METRICS) - 1))


def test_the_builder_is_asked_what_is_missing() -> None:
    assert why_not({"SNAPSHOTS_BUILD_ISOLATION": "off"}) == "builds are switched off"
    assert "SNAPSHOTS_BUILD_ISOLATION is 'vm'" in why_not({"SNAPSHOTS_BUILD_ISOLATION": "vm"})
