"""Refusal ↔ google.rpc.Status: the only place that knows both."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chassis.errors import Refusal

_DETAILS = "grpc-status-details-bin"
_CODES = {code.name: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What a refusal says to machines. An empty reason: the failure was no refusal."""

    reason: str
    domain: str
    metadata: dict[str, str]


def status_of(
    refusal: Refusal, domain: str
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes]]]:
    """Return code, message and trailing metadata for `context.abort`."""
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason, domain=domain, metadata=refusal.metadata
    )
    detail = any_pb2.Any()
    detail.Pack(info)
    status = status_pb2.Status(
        code=code_pb2.Code.Value(refusal.kind.value), message=refusal.message, details=[detail]
    )
    return _CODES[refusal.kind.value], refusal.message, ((_DETAILS, status.SerializeToString()),)


def error_info(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """Return what the other side said beside the code."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            return _first_info(status_pb2.Status.FromString(value))
    return ErrorInfo("", "", {})


def _first_info(status: Any) -> ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return ErrorInfo(info.reason, info.domain, dict(info.metadata))
    return ErrorInfo("", "", {})
