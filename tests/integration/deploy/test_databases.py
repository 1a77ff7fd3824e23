"""The embedded PostgreSQL: closed to each other's roles, refused when it does not fit, started in spite of leftovers."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest

from deploy.local.account import database_account
from deploy.local.binaries import find_postgres
from deploy.local.postgres import running_postmaster
from deploy.local.secret_files import CONTEXTS
from tests.integration.deploy.conftest import Install
from tests.integration.deploy.harness import Installation, kill_and_wait, wait_for_end


@pytest.mark.parametrize("role", CONTEXTS)
async def test_a_role_enters_its_own_database_only(running: Installation, role: str) -> None:
    assert await running.fetch(role, "SELECT current_user") == role
    for other in {*CONTEXTS, "postgres", "template1"} - {role}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await running.fetch(other, "SELECT 1", role)
    assert await running.fetch(role, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles"
                               f" WHERE rolname = '{role}'") is False  # fmt: skip


async def test_a_wrong_password_is_refused(running: Installation) -> None:
    url = running.database_url("auth", "auth").replace("auth:", "auth:x", 1)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


async def test_it_is_durable_and_off_the_network(running: Installation) -> None:
    settings = {
        name: await running.fetch("auth", f"SHOW {name}")
        for name in ("fsync", "synchronous_commit", "full_page_writes", "jit", "listen_addresses")
    }
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "jit": "off",
        "listen_addresses": "",
    }


def _data(one: Installation) -> Path:
    return Path(json.loads((one.home / "postgres.json").read_text())["data"])


def test_another_major_version_is_refused(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    assert one.run("down").returncode == 0
    (_data(one) / "PG_VERSION").write_text("14\n")
    refused = one.start()
    assert refused.returncode == 1
    assert "PostgreSQL 14" in refused.stderr
    assert "--postgres-bin" in refused.stderr


def test_chosen_binaries_are_used_and_remembered(fresh: Install) -> None:
    one = fresh()
    package = find_postgres(database_account()).folder.parents[1]
    one.base.chmod(0o755)
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, one.base / "chosen" / folder.name)
    chosen = one.base / "chosen" / package.name / "pginstall" / "bin"
    started = one.start("--postgres-bin", str(chosen))
    assert started.returncode == 0, started.stderr
    assert one.run("down").returncode == 0
    assert one.start().returncode == 0
    assert Path(f"/proc/{one.pids()['postgres']}/exe").readlink() == chosen / "postgres"


def test_binaries_that_do_not_run_are_said(fresh: Install, tmp_path: Path) -> None:
    broken = tmp_path / "postgres"
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o755)
    refused = fresh().start("--postgres-bin", str(tmp_path))
    assert refused.returncode == 1
    assert "does not run" in refused.stderr


def test_a_pid_file_that_names_another_program_is_no_obstacle(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    pids = one.pids()
    command = Path(f"/proc/{pids['postgres']}/cmdline").read_text().split("\0")
    sockets = Path(command[command.index("-k") + 1])
    kill_and_wait(pids["supervisor"])
    data = _data(one)
    wait_for_end([pids["postgres"]])
    # As after a restart of the machine, when somebody else of the same account got the number.
    account = database_account()
    with subprocess.Popen(["/bin/sleep", "600"], cwd="/", **account.popen_options()) as other:
        for file in (data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
            file.write_text(f"{other.pid}\n{data}\n1\n5432\n{sockets}\n\n   1   1\n")
            os.chown(file, data.stat().st_uid, data.stat().st_gid)
        again = one.start()
        other.kill()
    assert again.returncode == 0, again.stderr


def test_a_living_server_is_known_by_its_folder(running: Installation) -> None:
    assert running_postmaster(_data(running)) == running.pids()["postgres"]


def _own_server(one: Installation) -> subprocess.Popen[bytes]:
    """Return a server of the stopped installation's data that is a child of ours and ready."""
    account, data = database_account(), _data(one)
    server = subprocess.Popen(
        [
            find_postgres(account).program("postgres"),
            *("-D", data, "-k", data, "-c", "listen_addresses="),
        ],
        cwd="/",
        stderr=subprocess.PIPE,
        **account.popen_options(),
    )
    assert server.stderr is not None
    while b"ready to accept connections" not in server.stderr.readline():
        assert server.poll() is None
    return server


def test_a_server_that_was_left_over_is_replaced(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    assert one.run("down").returncode == 0
    left = _own_server(one)
    started = one.start()
    left.communicate(timeout=30)
    assert started.returncode == 0, started.stderr
    assert left.returncode == 0


def test_a_dead_server_that_nobody_asked_after_is_in_nobodys_way(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    assert one.run("down").returncode == 0
    dead = _own_server(one)
    os.kill(dead.pid, signal.SIGKILL)
    wait_for_end([dead.pid])
    # Not waited for: its number is taken until the end of this test.
    started = one.start()
    dead.communicate(timeout=30)
    assert started.returncode == 0, started.stderr
