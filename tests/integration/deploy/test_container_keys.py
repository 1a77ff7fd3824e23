"""The keys that secrets are sealed with, replaced as operators of containers do it, while processes go on."""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.grpc.caller import Caller, Identity
from chassis.grpc.client import channel
from chassis.sealing import KeyRing
from deploy.container.rotate import rotate
from deploy.local.secret_files import ENCRYPTION_KEYS
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from ratoon.snapshots.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.conftest import MakeDatabase
from tests.integration.deploy.containers import Containers
from tests.registry import PASSWORD, USER, Registry, running_registry

pytestmark = pytest.mark.xdist_group("containers")
ORGANIZATION = str(uuid4())


class Keeper(Containers):
    """The server of snapshots alone, and whoever keeps a password there."""

    @property
    def keys(self) -> Path:
        return self.state / ENCRYPTION_KEYS["snapshots"]

    def start_anew(self) -> None:
        if "snapshots" in self._running:
            assert self.stop("snapshots") == 0
        self.start("snapshots")
        self.await_healthy("snapshots")

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        caller = Caller(
            credential="oidc",
            user_id="ada",
            organization_id=ORGANIZATION,
            organization_role="member",
            permissions=frozenset({"write:registries"}),
        )
        token, _ = Identity.load(self.secret("identity-auth"), "auth").sign(caller)
        return (("ratoon-caller", token),)

    async def keep(self, name: str, registry: Registry) -> str:
        async with channel(self.environment("gateway")["GATEWAY_SNAPSHOTS_TARGET"], pb) as there:
            request = pb.CreateRegistryRequest(
                organization_id=ORGANIZATION,
                name=name,
                url=registry.host,
                username=USER,
                password=PASSWORD,
            )
            stub = RegistryServiceStub(there)
            answer = await stub.CreateRegistry(request, metadata=self._metadata())
            return str(answer.registry.id)

    async def logs_in(self, id_: str) -> bool:
        async with channel(self.environment("gateway")["GATEWAY_SNAPSHOTS_TARGET"], pb) as there:
            request = pb.TestRegistryRequest(organization_id=ORGANIZATION, registry_id=id_)
            stub = RegistryServiceStub(there)
            return bool((await stub.TestRegistry(request, metadata=self._metadata())).ok)


@pytest.fixture
async def keeper(make_database: MakeDatabase) -> AsyncIterator[Keeper]:
    if os.geteuid() != 0:
        pytest.fail("mounting for reading needs root on this machine")
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        keeper = Keeper(Path(folder))
        url = await make_database("services.snapshots")
        keeper.secret("snapshots-database-url").write_text(url + "\n")
        try:
            yield keeper
        finally:
            keeper.stop_all()


async def test_keys_are_replaced_step_by_step(keeper: Keeper) -> None:
    with running_registry(password=True) as registry:
        keeper.told["SNAPSHOTS_INSECURE_REGISTRIES"] = registry.host
        keeper.start_anew()
        kept = [await keeper.keep("before", registry)]
        first = KeyRing(keeper.keys).keys().active

        rotate(keeper.keys, "add")
        keeper.start_anew()
        kept.append(await keeper.keep("still under the first", registry))
        assert KeyRing(keeper.keys).keys().active == first

        rotate(keeper.keys, "activate")
        rotate(keeper.keys, "activate")
        # Whoever was not started anew yet opens what is sealed under either.
        assert [await keeper.logs_in(id_) for id_ in kept] == [True, True]
        keeper.start_anew()
        kept.append(await keeper.keep("under the second", registry))

        resealed = keeper.run("snapshots", "rotate-keys")
        assert (resealed.returncode, resealed.stdout.strip()) == (0, '{"resealed": 2}'), resealed
        # The platform's file is the platform's.
        assert len(KeyRing(keeper.keys).keys().secrets) == 2

        rotate(keeper.keys, "forget")
        left = KeyRing(keeper.keys).keys()
        assert set(left.secrets) == {left.active} != {first}
        keeper.start_anew()
        assert [await keeper.logs_in(id_) for id_ in kept] == [True, True, True]
        # What a backup from before needs.
        assert first in KeyRing(keeper.keys.with_name(f"{keeper.keys.name}.before")).keys().secrets
        assert {p.stat().st_mode & 0o777 for p in keeper.keys.parent.glob("snapshots-enc*")} == {
            0o600
        }
        assert {p.stat().st_uid for p in keeper.keys.parent.glob("snapshots-enc*")} == {10001}
