"""Images that mean harm: refused with a reason, and nothing is anywhere but in the store."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from services.snapshots.domain import LayerFacts
from services.snapshots.images.failures import Code
from services.snapshots.images.http import Http
from services.snapshots.images.puller import Puller
from tests.images import OCI_LAYER, Content, Image, assemble, image, of_archives
from tests.integration.snapshots.images.conftest import QUICK, Bench
from tests.integration.snapshots.images.scripted import ScriptedRegistry


def _archive(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        made.addfile(entry)
    return out.getvalue()


HOSTILE = {
    "traversal": of_archives(_archive("fine"), _archive("../../escaped")),
    "hard link out": of_archives(_archive("x", tarfile.LNKTYPE, "../../etc/passwd")),
    "device": of_archives(_archive("dev/sda", tarfile.BLKTYPE)),
    "no archive": of_archives(b"#!/bin/sh\nrm -rf /\n" * 100),
    "another layer": assemble(
        [Content(OCI_LAYER, gzip.compress(_archive("one")))], ["sha256:" + "0" * 64]
    ),
    "layers in another order": assemble(
        (two := of_archives(_archive("one"), _archive("two"))).layers[::-1],
        [Content("", gzip.decompress(layer.data)).digest for layer in two.layers],
    ),
}


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_image_is_refused_and_stays_inside(
    scripted: ScriptedRegistry, bench: Bench, tmp_path: Path, made: Image
) -> None:
    scripted.serve(made)
    failure = await bench.failure(f"{scripted.host}/x:1")
    assert failure.code is Code.IMAGE_INVALID
    assert not failure.transient
    assert made.manifest.digest not in bench.blobs()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert bench.blobs() <= {blob.digest for blob in made.blobs}


async def test_a_bomb_is_refused(
    scripted: ScriptedRegistry, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.snapshots.images.layers._ALWAYS", 1 << 20)
    packed = gzip.compress(bytes(256 << 20), 9)
    scripted.serve(assemble([Content(OCI_LAYER, packed)], ["sha256:" + "0" * 64]))
    failure = await bench.failure(f"{scripted.host}/bomb:1")
    assert failure.code is Code.IMAGE_TOO_LARGE


async def test_a_layer_is_read_once(scripted: ScriptedRegistry, bench: Bench) -> None:
    class Noted:
        def __init__(self) -> None:
            self.facts: dict[str, LayerFacts] = {}
            self.notes: list[str] = []

        async def of(self, digests: list[str]) -> dict[str, LayerFacts]:
            return {digest: self.facts[digest] for digest in digests if digest in self.facts}

        async def note(self, digest: str, facts: LayerFacts) -> None:
            self.facts[digest] = facts
            self.notes.append(digest)

    made, noted = image(), Noted()
    scripted.serve(made)
    async with Http(insecure_hosts=frozenset({scripted.host})) as http:
        puller = Puller(http, bench.store, retries=QUICK, layers=noted)
        for owner in ("one", "another"):
            await puller.pull(
                f"{scripted.host}/x:1", owner=owner, plan=bench._plan, report=bench._report
            )
    assert sorted(noted.notes) == sorted(layer.digest for layer in made.layers)
