"""The health check of a container: exit code 0 when the room answers on the address it was told to listen on."""

import http.client
import os
import sys


def main() -> int:
    """Ask the gateway, the storage, or anything that serves metrics only, over HTTP; the services over gRPC."""
    room = os.environ["RATOON_ROOM"]
    if room == "gateway":
        return _http(os.environ["GATEWAY_LISTEN"], "/api/health")
    if room == "storage":
        return _http("127.0.0.1:8333", "/healthz")
    if metrics := os.environ.get("RATOON_HEALTH_BY_METRICS"):
        return _http(os.environ[metrics], "/metrics")
    return _grpc(os.environ[f"{room.upper()}_LISTEN"])


def _http(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(_local(address), timeout=4)
    connection.request("GET", path)
    return 0 if connection.getresponse().status == 200 else 1


def _grpc(address: str) -> int:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(_local(address)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=4)
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


def _local(address: str) -> str:
    """Return where to reach a server on this machine that listens on `address`."""
    return address.replace("0.0.0.0:", "127.0.0.1:")


if __name__ == "__main__":
    sys.exit(main())
