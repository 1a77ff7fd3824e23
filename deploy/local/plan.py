"""Which processes make an installation, what each is told, and in which order they come up."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import registry
from deploy.local.environment import for_room
from deploy.local.ports import LOOPBACK
from deploy.local.postgres import (
    READY_LINE,
    Cluster,
    end,
    forget_sockets,
    roles_and_databases,
    running_postmaster,
)
from deploy.local.process import Spec
from deploy.local.secret_files import CONTEXTS, ENCRYPTION_KEYS, DatabaseSecret
from deploy.local.state import Home, socket_path
from deploy.local.storage import Storage

METRICS = ("auth", "orgs", "snapshots", "worker", "gateway", "builder")
# The other contexts that a context calls.
_PEERS = {"auth": ("orgs",), "orgs": ("auth", "snapshots"), "snapshots": ("orgs", "auth")}


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that one start has decided."""

    home: Home
    port: int
    runtime: Path
    environ: Mapping[str, str]
    metrics: Mapping[str, int]
    # Where the gateway listens: the public port, or a private one behind the edge.
    gateway_port: int
    edge_command: tuple[str, ...] = ()
    # Of the installation's own registry, on `registry_port`.
    registry_command: tuple[str, ...] = ()
    registry_port: int = 0
    # Absent when every context has a server of the operator's.
    cluster: Cluster | None = None
    secrets: Mapping[str, DatabaseSecret] | None = None
    # Absent when build contexts go to a storage of the operator's, or nowhere.
    storage: Storage | None = None
    # Why no Dockerfiles are built here; empty: they are.
    no_builder: str = "no builder is set up"

    def target(self, context: str) -> str:
        return f"unix:{socket_path(self.runtime, f'{context}.sock')}"


def own_server(context: str, environ: Mapping[str, str]) -> bool:
    """Return whether the operator gave this context a database server of their own."""
    return bool(environ.get(f"{context.upper()}_DATABASE_URL"))


def own_storage(environ: Mapping[str, str]) -> bool:
    """Return whether the operator gave build contexts a storage of their own."""
    return bool(environ.get("SNAPSHOTS_CONTEXTS_ENDPOINT"))


def plan(site: Site) -> list[Spec]:
    specs: list[Spec] = []
    if site.cluster is not None and site.secrets is not None:
        specs += _database(site, site.cluster, site.secrets)
    if site.storage is not None:
        specs += site.storage.specs(for_room("storage", site.environ))
    for context in CONTEXTS:
        specs += _context(site, context)
    specs.append(_worker(site))
    if site.registry_command:
        specs.append(_registry(site))
    if not site.no_builder:
        specs.append(_builder(site))
    specs.append(_gateway(site))
    if site.edge_command:
        specs.append(_edge(site))
    return specs


def _database(site: Site, cluster: Cluster, secrets: Mapping[str, DatabaseSecret]) -> list[Spec]:
    environment = {**for_room("postgres", site.environ), "LC_ALL": "C"}
    ours = {name: secrets[name] for name in CONTEXTS if not own_server(name, site.environ)}

    def clear_the_way() -> None:
        pid = running_postmaster(cluster.data)
        if pid is not None:
            end(pid)
        forget_sockets(cluster.sockets)

    server = Spec(
        name="postgres",
        command=cluster.command(),
        environment=environment,
        ready_line=READY_LINE,
        before=clear_the_way,
        account=cluster.account,
        # A fast shutdown in order; an immediate one, recovered from at the next start, when there is no time.
        stop_signal=signal.SIGINT,
        kill_signal=signal.SIGQUIT,
        patience=20.0,
    )
    databases = Spec(
        name="databases",
        command=cluster.psql(),
        environment={**environment, "PGPASSWORD": secrets["postgres"].password},
        after=("postgres",),
        once=True,
        text=roles_and_databases(ours),
    )
    return [server, databases]


def _context(site: Site, context: str) -> list[Spec]:
    environment = context_environment(site, context)
    base = () if own_server(context, site.environ) else ("databases", "postgres")
    migrate = Spec(
        name=f"{context}-migrate",
        command=python_command(f"services.{context}", "migrate"),
        environment=environment,
        after=base,
        once=True,
    )
    serve = Spec(
        name=context,
        command=python_command(f"services.{context}", "serve"),
        environment=environment,
        after=(migrate.name, *base),
        metrics=environment[f"{context.upper()}_METRICS_LISTEN"],
    )
    return [migrate, serve]


def _worker(site: Site) -> Spec:
    environment = context_environment(site, "snapshots")
    base = () if own_server("snapshots", site.environ) else ("postgres",)
    return Spec(
        name="snapshots-worker",
        command=python_command("services.snapshots", "work"),
        environment=environment,
        after=("snapshots-migrate", *base),
        metrics=environment["SNAPSHOTS_WORKER_METRICS_LISTEN"],
    )


def _registry(site: Site) -> Spec:
    return Spec(
        name="registry",
        command=site.registry_command,
        environment=for_room("registry", site.environ),
        ready_line=registry.READY_LINE,
    )


def _builder(site: Site) -> Spec:
    listen = f"{LOOPBACK}:{site.metrics['builder']}"
    base = () if own_server("snapshots", site.environ) else ("postgres",)
    return Spec(
        name="snapshots-builder",
        command=python_command("services.snapshots", "build"),
        environment={
            "SNAPSHOTS_BUILD_PATH": str(site.home.builds),
            **context_environment(site, "snapshots"),
            "SNAPSHOTS_BUILDER_METRICS_LISTEN": listen,
            # It starts programs all the time, and none of them is itself again.
            "GRPC_ENABLE_FORK_SUPPORT": "0",
        },
        after=("snapshots-migrate", *base),
        metrics=listen,
    )


def _gateway(site: Site) -> Spec:
    given = for_room("gateway", site.environ)
    proxies = given.get("GATEWAY_TRUSTED_PROXIES", "")
    if site.edge_command:
        proxies = ",".join(filter(None, (proxies, f"{LOOPBACK}/32")))
    environment = {
        **_based_on(given),
        "GATEWAY_LISTEN": f"{LOOPBACK}:{site.gateway_port}",
        "GATEWAY_METRICS_LISTEN": f"{LOOPBACK}:{site.metrics['gateway']}",
        "GATEWAY_IDENTITY_FILE": str(site.home.secrets / "identity-gateway.pem"),
        **{f"GATEWAY_{name.upper()}_TARGET": site.target(name) for name in CONTEXTS},
    }
    if proxies:
        environment["GATEWAY_TRUSTED_PROXIES"] = proxies
    return Spec(
        name="gateway",
        command=python_command("gateway", "serve"),
        environment=environment,
        after=CONTEXTS,
        metrics=environment["GATEWAY_METRICS_LISTEN"],
    )


def _edge(site: Site) -> Spec:
    return Spec(
        name="edge",
        command=site.edge_command,
        environment=for_room("edge", site.environ),
        after=("gateway",),
        ready_line=b"all dependencies initialized. starting workers",
    )


def context_environment(site: Site, context: str) -> dict[str, str]:
    prefix = context.upper()
    secrets = site.home.secrets
    environment = {
        # The operator may have the store elsewhere; where the processes meet is the launcher's affair.
        **({"SNAPSHOTS_STORE_PATH": str(site.home.store)} if context == "snapshots" else {}),
        **({"DASHBOARD_URL": _front(site)} if context == "orgs" else {}),
        **_based_on(for_room(context, site.environ)),
        f"{prefix}_LISTEN": site.target(context),
        f"{prefix}_METRICS_LISTEN": f"{LOOPBACK}:{site.metrics[context]}",
        f"{prefix}_IDENTITY_FILE": str(secrets / f"identity-{context}.pem"),
        f"{prefix}_TRUST_FILE": str(secrets / "trust.json"),
        **{f"{prefix}_{peer.upper()}_TARGET": site.target(peer) for peer in _PEERS[context]},
    }
    if context == "auth":
        environment["AUTH_SERVICE_CREDENTIALS_FILE"] = str(secrets / "service-credentials.json")
    keys = f"{prefix}_ENCRYPTION_KEYS"
    # With either the operator keeps the encryption keys elsewhere.
    if context in ENCRYPTION_KEYS and not environment.keys() & {keys, f"{keys}_FILE"}:
        environment[f"{keys}_FILE"] = str(site.home.path / ENCRYPTION_KEYS[context])
    if context == "snapshots":
        environment |= _own_registry(site, environment)
        worker = f"{LOOPBACK}:{site.metrics['worker']}"
        environment["SNAPSHOTS_WORKER_METRICS_LISTEN"] = worker
        if site.storage is not None:
            environment |= site.storage.contexts_environment()
        environment["SNAPSHOTS_BUILDER"] = "false" if site.no_builder else "true"
        environment["SNAPSHOTS_NO_BUILDER"] = site.no_builder
    if not own_server(context, site.environ):
        assert site.cluster is not None
        assert site.secrets is not None
        password = site.secrets[context].password
        environment[f"{prefix}_DATABASE_URL"] = site.cluster.url(context, context, password)
    return environment


def _own_registry(site: Site, given: Mapping[str, str]) -> dict[str, str]:
    """Return what is said of the own registry: it and its tokens are spoken for on the loopback, without TLS."""
    if not site.registry_command:
        return {}
    host, api = f"{LOOPBACK}:{site.registry_port}", f"{LOOPBACK}:{site.port}"
    plain = filter(None, (given.get("SNAPSHOTS_INSECURE_REGISTRIES"), host, api))
    return {
        registry.VARIABLE: host,
        f"{registry.VARIABLE}_PATH": str(site.home.registry),
        f"{registry.VARIABLE}_KEY_FILE": str(site.home.secrets / registry.KEY),
        f"{registry.VARIABLE}_CERTIFICATE_FILE": str(site.home.secrets / registry.CERTIFICATE),
        "SNAPSHOTS_INSECURE_REGISTRIES": ",".join(plain),
    }


def _front(site: Site) -> str:
    """Return where people reach the installation, unless the operator says where its pages are."""
    return site.environ.get("GATEWAY_PUBLIC_URL") or f"http://{LOOPBACK}:{site.port}"


def _based_on(given: dict[str, str]) -> dict[str, str]:
    """Make relative import paths absolute, for the processes run in another folder."""
    if path := given.get("PYTHONPATH"):
        absolute = (str(Path(part).absolute()) for part in path.split(os.pathsep) if part)
        return {**given, "PYTHONPATH": os.pathsep.join(absolute)}
    return given


def python_command(module: str, *words: str) -> tuple[str, ...]:
    # -P: modules come from the installation, never from the folder a process happens to run in.
    return (sys.executable, "-P", "-m", module, *words)
