"""What all shapes share: names in camelCase, moments in ISO 8601, strict input."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from starlette.responses import Response

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = tuple(f".{ms:03d}Z" for ms in range(1_000))
_encode = msgspec.json.Encoder().encode


class Answer(BaseModel):
    """Something the API says."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Asked(BaseModel):
    """Something a client sends: nothing is coerced, what is not known is left out of account."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")


def json(said: Any) -> Response:
    """Answer with msgspec Structs; the operation declares the model that documents them."""
    return Response(_encode(said), media_type="application/json")


def encoded(said: Any) -> bytes:
    return _encode(said)


@lru_cache(maxsize=16_384)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def iso(stamp: Timestamp) -> str:
    """Return a moment as the API writes it: UTC, milliseconds, Z."""
    return _second(stamp.seconds) + _MILLISECONDS[stamp.nanos // 1_000_000]


def whole(value: Any) -> Any:
    """JSON knows one kind of number: 2.0 is an integer, 2.5 is left for the type to refuse."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any) -> Any:
    """Read a date from its text; anything but a text is left for the type to refuse."""
    if not isinstance(value, str):
        return value
    parsed = datetime.fromisoformat(value)
    try:
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("the date is out of range") from None


# No database takes a NUL.
NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, StringConstraints(max_length=1_024, pattern=NO_NUL)]
LongText = Annotated[str, StringConstraints(max_length=262_144, pattern=NO_NUL)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
# The limits stand next to the type, or the document would not know them.
Amount = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole)]
