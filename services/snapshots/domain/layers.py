"""What is known of a layer once its archive was read from end to end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """`diff_id`: the digest of the unpacked archive, as configs name layers. `unpacked_bytes`: of that archive."""

    diff_id: str
    unpacked_bytes: int
    entries: int
