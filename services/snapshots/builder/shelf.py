"""Which layers of an organization were packed before, and as what: kept beside the layers themselves."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.snapshots.domain import Blob
from services.snapshots.store.digests import InvalidDigest, hex_of

_FILE = "packed.json"
# Those used last are kept. A layer that is forgotten is packed again.
_MOST = 2000


class Shelf:
    """Remembers the packed form of a layer by its diff id. Whoever uses it holds the organization's layers."""

    def __init__(self, layers: Path) -> None:
        self._path = layers / _FILE

    def known(self, diff_ids: Sequence[str]) -> dict[str, Blob]:
        entries = self._read()
        return {diff_id: entries[diff_id] for diff_id in diff_ids if diff_id in entries}

    def keep(self, packed: Mapping[str, Blob]) -> None:
        """Remember these, as those used last."""
        entries = {d: blob for d, blob in self._read().items() if d not in packed} | dict(packed)
        newest = list(entries.items())[-_MOST:]
        text = json.dumps({diff_id: [blob.digest, blob.size] for diff_id, blob in newest})
        fresh = self._path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._path)

    def _read(self) -> dict[str, Blob]:
        # A file that a crash of the machine cut short tells nothing; what it told is found out again.
        with suppress(OSError, ValueError, TypeError, AttributeError, InvalidDigest):
            return {
                diff_id: _blob(*entry)
                for diff_id, entry in json.loads(self._path.read_text()).items()
            }
        return {}


def _blob(digest: str, size: int) -> Blob:
    return Blob(f"sha256:{hex_of(digest)}", int(size))
