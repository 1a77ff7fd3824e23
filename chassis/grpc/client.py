"""Channels: a deadline for every call, retries for reads, both from the contract and free of cost per call."""

import json
from typing import Any

import grpc
from google.protobuf import descriptor_pb2

_READ_SECONDS, _WRITE_SECONDS = 10, 15
_RETRIES = {
    "maxAttempts": 4,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def channel(target: str, *services: Any) -> grpc.aio.Channel:
    """Open a channel to `target` (`unix:/path` or `host:port`) for the services of the given `_pb2` modules.

    Unary calls get a deadline; what the contract marks as without side effects is tried again when the server is away.
    """
    methods = [m for module in services for m in _config(module.DESCRIPTOR)]
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps({"methodConfig": methods})),
        ("grpc.initial_reconnect_backoff_ms", 50),
        # How long one attempt to connect may take, whatever its name says; a busy machine needs its time.
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.keepalive_time_ms", 30_000),
        # A page of 200 snapshots, each with the longest Dockerfile that there can be.
        ("grpc.max_receive_message_length", 64 << 20),
        # A pool of its own for each channel, or two channels to one target would share one connection.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.default_authority", "ratoon"),
    ]
    return grpc.aio.insecure_channel(target, options=options)


def _config(file: Any) -> list[dict[str, Any]]:
    configs = []
    for service in file.services_by_name.values():
        for method in service.methods:
            if method.server_streaming or method.client_streaming:
                continue
            safe = method.GetOptions().idempotency_level != (
                descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN
            )
            entry: dict[str, Any] = {
                "name": [{"service": service.full_name, "method": method.name}],
                "timeout": f"{_READ_SECONDS if safe else _WRITE_SECONDS}s",
            }
            if safe:
                entry["retryPolicy"] = _RETRIES
            configs.append(entry)
    return configs
