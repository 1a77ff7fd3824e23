"""An installation's life: up, found again, killed in every way, down."""

import http.client
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.integration.deploy.conftest import Install
from tests.integration.deploy.harness import (
    LIMIT,
    Installation,
    kill_and_wait,
    wait_for_end,
)

PROCESSES = {"postgres", "auth", "orgs", "snapshots", "snapshots-worker", "gateway", "registry"}


async def test_it_comes_up_and_is_found_again(fresh: Install, anyone: int | None) -> None:
    one = fresh(anyone)
    first = one.start()
    assert first.returncode == 0, first.stderr
    assert f"http://127.0.0.1:{one.port}/api" in first.stdout
    assert "export DAYTONA_API_KEY=dtn_first" in first.stdout
    status = one.status()
    assert status["state"] == "healthy"
    assert {process["name"] for process in status["processes"]} == PROCESSES
    assert _owner_of_server(one) != 0
    assert one.run("down").returncode == 0
    assert one.run("status").returncode == 3

    second = one.start()
    assert second.returncode == 0, second.stderr
    assert "dtn_" not in second.stdout
    assert await one.fetch("auth", "SELECT count(*) FROM boots") == 2


def _owner_of_server(one: Installation) -> int:
    return Path(f"/proc/{one.pids()['postgres']}").stat().st_uid


async def test_killed_processes_come_back(fresh: Install, anyone: int | None) -> None:
    one = fresh(anyone)
    assert one.start().returncode == 0
    for name in PROCESSES - {"postgres"}:
        kill_and_wait(one.pids()[name])
    kill_and_wait(one.pids()["postgres"])
    status = one.status(wait=LIMIT)
    assert status["state"] == "healthy"
    assert {
        process["name"]: process["restarts"] for process in status["processes"]
    } == dict.fromkeys(PROCESSES, 1)
    assert await one.fetch("orgs", "SELECT count(*) FROM boots") == 1


def test_a_killed_supervisor_leaves_nothing_behind(fresh: Install, anyone: int | None) -> None:
    one = fresh(anyone)
    assert one.start("--edge").returncode == 0
    pids = one.pids()
    kill_and_wait(pids.pop("supervisor"))
    wait_for_end([*pids.values()])
    again = one.start()
    assert again.returncode == 0, again.stderr
    assert one.status()["state"] == "healthy"


async def test_everything_killed_at_once_is_recovered_from(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    pids = [*one.pids().values()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for_end(pids)
    again = one.start()
    assert again.returncode == 0, again.stderr
    assert await one.fetch("snapshots", "SELECT count(*) FROM boots") == 2


def test_a_second_start_is_refused(running: Installation) -> None:
    second = running.run("up", "--port", str(running.port))
    assert (second.returncode, second.stdout) == (3, "")
    assert "runs already" in second.stderr
    detached = running.start()
    assert detached.returncode == 3
    assert "runs already" in detached.stderr


def test_two_copies_run_side_by_side(running: Installation, fresh: Install) -> None:
    other = fresh()
    # The ports after this one are the first copy's.
    other.port = running.port - 1
    started = other.start()
    assert started.returncode == 0, started.stderr
    assert {other.status()["state"], running.status()["state"]} == {"healthy"}
    addresses = [
        process["metrics"]
        for one in (other, running)
        for process in one.status()["processes"]
        if process["metrics"]
    ]
    assert len(addresses) == len(set(addresses)) == 10


def test_a_taken_port_is_said_before_anything_starts(running: Installation, fresh: Install) -> None:
    other = fresh()
    other.port = running.port
    refused = other.start()
    assert refused.returncode == 1
    assert "--port" in refused.stderr
    assert not (other.home / "postgres.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(fresh: Install, number: signal.Signals) -> None:
    one = fresh()
    with one.popen("up", "--port", str(one.port)) as process:
        assert process.stdout is not None
        while "Three things to try" not in (line := process.stdout.readline()):
            assert line, process.stderr.read() if process.stderr else ""
        pids = one.pids()
        del pids["supervisor"]
        process.send_signal(number)
        process.communicate(timeout=LIMIT)
        assert process.returncode == 0
    wait_for_end([*pids.values()], seconds=0)
    assert "database system is shut down" in (one.home / "logs" / "postgres.log").read_text()


def test_down_fast_ends_a_process_that_does_not_listen(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    pids = one.pids()
    os.kill(pids["orgs"], signal.SIGSTOP)
    assert one.run("down", "--fast").returncode == 0
    wait_for_end([*pids.values()], seconds=0)


def test_the_api_answers_where_it_says(running: Installation) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("GET", "/api/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_the_state_folder_is_closed_to_others(running: Installation) -> None:
    private = [running.home, *running.home.rglob("*")]
    assert len(private) > 20
    assert [path for path in private if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_the_supervisor_is_small(running: Installation) -> None:
    rollup = Path(f"/proc/{running.pids()['supervisor']}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss < 25_000
