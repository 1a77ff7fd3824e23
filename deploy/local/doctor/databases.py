"""Whether databases answer, at a revision that this release knows."""

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deploy.local.account import database_account, run_as
from deploy.local.binaries import find_postgres
from deploy.local.doctor.finding import Finding
from deploy.local.plan import own_server
from deploy.local.postgres import Cluster
from deploy.local.secret_files import CONTEXTS, database_secrets
from deploy.local.state import Home


def revisions(
    home: Home, environ: Mapping[str, str], status: dict[str, Any] | None
) -> Iterator[Finding]:
    record = home.read("postgres.json")
    ours = [context for context in CONTEXTS if not own_server(context, environ)]
    for context in set(CONTEXTS) - set(ours):
        yield Finding(f"database {context}", "on a server of the operator's; not examined")
    if status is None or not record:
        if ours:
            yield Finding("databases", "not examined, for Ratoon does not run")
        return
    account = database_account()
    chosen = Path(record["binaries"]) if record["binaries"] else None
    sockets = Path(home.read("runtime.json")["database"])
    cluster = Cluster(find_postgres(account, chosen), account, Path(record["data"]), sockets)
    password = database_secrets(home)["postgres"].password
    for context in ours:
        yield _revision(cluster, context, password)


def _revision(cluster: Cluster, context: str, password: str) -> Finding:
    about = f"database {context}"
    said = run_as(
        database_account(),
        (*cluster.psql(context), "--tuples-only", "--no-align"),
        cwd=Path("/"),
        environment={"PGPASSWORD": password, "LC_ALL": "C"},
        text="SELECT version_num FROM alembic_version;",
    )
    if said.returncode != 0:
        return Finding(
            about,
            said.stderr.strip().split("\n")[0],
            "read `ratoon logs postgres`; then `ratoon down`, `ratoon up`",
        )
    found, known = said.stdout.strip(), _known_revisions(context)
    if found not in known:
        return Finding(
            about,
            f"at revision {found}, unknown to this release",
            "run the newer release that wrote it",
        )
    if found in known.values():
        return Finding(
            about,
            f"at revision {found}, an old one",
            "`ratoon down`, then `ratoon up`: it migrates",
        )
    return Finding(about, f"reachable, at revision {found}")


def _known_revisions(context: str) -> dict[str, str | None]:
    """Return each revision of the code with the one before it, as read from the files: no service is imported."""
    spec = find_spec("services")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found: dict[str, str | None] = {}
    for folder in folders:
        for path in (Path(folder) / context / "migrations" / "versions").glob("*.py"):
            text = path.read_text()
            names = dict(re.findall(r'^(revision|down_revision)\b[^=\n]*= *"([^"]+)"', text, re.M))
            if "revision" in names:
                found[names["revision"]] = names.get("down_revision")
    return found
