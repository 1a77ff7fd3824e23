"""Microseconds since 1970 to protobuf and back; the hot reads carry times so."""

from google.protobuf.timestamp_pb2 import Timestamp


def stamp(micros: int) -> Timestamp:
    seconds, rest = divmod(micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def set_stamp(field: Timestamp, micros: int) -> None:
    """Set a field to a moment, without making one first."""
    field.seconds, rest = divmod(micros, 1_000_000)
    field.nanos = rest * 1000


def micros_of(stamp: Timestamp) -> int:
    return stamp.seconds * 1_000_000 + stamp.nanos // 1000
