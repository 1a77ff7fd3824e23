"""What the operator is told when something is wrong."""

import json
import os
from pathlib import Path

from tests.integration.deploy.conftest import Install
from tests.integration.deploy.harness import LIMIT, Installation, kill_and_wait, wait_for_end


def test_a_refused_migration_is_shown_and_not_tried_again(fresh: Install) -> None:
    one = fresh()
    one.fails("orgs-migrate", "the database is newer than this release")
    refused = one.start()
    assert refused.returncode == 1
    assert "orgs-migrate ended with exit code 1" in refused.stderr
    assert (one.home / "logs" / "orgs-migrate.log").read_text().count("newer than this") == 1
    assert "the database is newer than this release" in refused.stderr
    assert one.run("status").returncode == 3


def test_a_crash_loop_at_the_first_start_ends_it(fresh: Install) -> None:
    one = fresh()
    one.fails("gateway-serve", "no such setting")
    refused = one.start()
    assert refused.returncode == 1
    assert "gateway ended with exit code 1" in refused.stderr
    assert "no such setting" in refused.stderr


def test_a_crash_loop_later_is_reported_while_the_rest_goes_on(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    pids = one.pids()
    one.fails("orgs-serve", "disk full")
    kill_and_wait(pids["orgs"])
    _follow_until(one, "a crash loop")
    assert one.process("orgs")["state"] == "crash-loop"
    assert one.run("status").returncode == 1
    said = one.run("doctor")
    assert said.returncode == 1
    assert "ratoon logs orgs" in said.stdout
    unharmed = {name: pid for name, pid in pids.items() if name != "orgs"}
    assert {name: pid for name, pid in one.pids().items() if name != "orgs"} == unharmed


def _follow_until(one: Installation, words: str) -> None:
    """Read the supervisor's log as it grows until it says `words`."""
    with one.popen("logs", "--follow", "-n", "1000", "supervisor") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if words in line:
                break
        process.kill()


def test_placeholders_are_refused(fresh: Install) -> None:
    refused = fresh(HEALTH_CHECK_API_KEY="changeme").start()
    assert refused.returncode == 1
    assert "HEALTH_CHECK_API_KEY" in refused.stderr
    assert "changeme" not in refused.stderr


def test_one_context_never_sees_anothers_secrets(fresh: Install) -> None:
    one = fresh(
        HEALTH_CHECK_API_KEY="a-health-check-key-of-ours",
        OIDC_CLIENT_SECRET="an-issuers-word",
        SOMETHING_ELSE="not for them",
        SNAPSHOTS_STORE_LIMIT_BYTES="1000",
    )
    assert one.start("--edge").returncode == 0
    passwords = json.loads((one.home / "secrets" / "databases.json").read_text())
    pids = one.pids()
    seen = {name: Path(f"/proc/{pid}/environ").read_text() for name, pid in pids.items()}
    del seen["supervisor"]
    owners = {"auth": {"auth"}, "orgs": {"orgs"}, "snapshots": {"snapshots", "snapshots-worker"}}
    for context, allowed in owners.items():
        password = passwords[context]["password"]
        assert {name for name, text in seen.items() if password in text} == allowed
    assert [name for name, text in seen.items() if passwords["postgres"]["password"] in text] == []
    assert [name for name, text in seen.items() if "an-issuers-word" in text] == ["auth"]
    assert not any("a-health-check-key-of-ours" in text for text in seen.values())
    assert not any("not for them" in text for text in seen.values())
    assert "SNAPSHOTS_STORE_LIMIT_BYTES=1000" in seen["snapshots-worker"]
    credentials = json.loads((one.home / "secrets" / "service-credentials.json").read_text())
    assert credentials["health-check"] == "a-health-check-key-of-ours"


def test_secrets_never_reach_the_logs_nor_command_lines(running: Installation) -> None:
    passwords = json.loads((running.home / "secrets" / "databases.json").read_text())
    secrets = [value for entry in passwords.values() for value in entry.values()]
    texts = [path.read_text() for path in (running.home / "logs").iterdir()]
    texts += [Path(f"/proc/{pid}/cmdline").read_text() for pid in running.pids().values()]
    assert not any(secret in text for secret in [*secrets, "dtn_first"] for text in texts)


def test_an_operators_own_servers_need_no_embedded_one(
    running: Installation, fresh: Install
) -> None:
    urls = {
        f"{context.upper()}_DATABASE_URL": running.database_url(context, context)
        for context in ("auth", "orgs", "snapshots")
    }
    one = fresh(**urls)
    started = one.start()
    assert started.returncode == 0, started.stderr
    assert "postgres" not in one.pids()
    assert not (one.home / "postgres.json").exists()


def test_doctor_finds_all_well_and_what_is_not(fresh: Install) -> None:
    one = fresh()
    assert one.run("doctor").returncode == 0
    assert one.start().returncode == 0
    well = one.run("doctor")
    assert (well.returncode, "all is well" in well.stdout) == (0, True), well.stdout

    (one.home / "secrets" / "trust.json").chmod(0o644)
    for revision in (one.base / "fakes" / "services" / "auth").rglob("first.py"):
        revision.write_text('revision = "20250101_older"\ndown_revision = None\n')
    for revision in (one.base / "fakes" / "services" / "orgs").rglob("first.py"):
        (revision.parent / "second.py").write_text(
            'revision = "20260202_second"\ndown_revision = "20260101_first"\n'
        )
    found = one.run("doctor")
    assert found.returncode == 1
    assert "chmod go=" in found.stdout
    assert "BAD  database auth: at revision 20260101_first, unknown to this release" in found.stdout
    assert "BAD  database orgs: at revision 20260101_first, an old one" in found.stdout
    assert "3 finding(s)" in found.stdout


def test_keys_and_people(running: Installation) -> None:
    assert running.run("key", "new", "--name", "ci").stdout == "dtn_another\n"
    assert running.run("user", "add", "new@example.com").stdout == "dtn_person\n"
    known = running.run("user", "add", "known@example.com")
    assert (known.returncode, known.stdout) == (1, "")
    assert "is a user already" in known.stderr


def test_people_are_listed_disabled_and_enabled(running: Installation) -> None:
    listed = json.loads(running.run("user", "list", "--format", "json").stdout)
    assert [u["email"] for u in listed] == ["ada@example.com", "bob@example.com"]
    assert (listed[0]["role"], listed[0]["local"], listed[0]["disabledAt"]) == ("user", True, None)
    table = running.run("user", "list", "--format", "table").stdout.splitlines()
    assert table[0].startswith("id")
    assert "bob@example.com" in table[2]
    gone = running.run("user", "disable", "ada@example.com", "--format", "json")
    assert (gone.returncode, json.loads(gone.stdout)["disabledAt"] is not None) == (0, True)
    back = running.run("user", "enable", "--id", "auth0|ada", "--format", "table")
    assert (back.returncode, back.stdout) == (0, "auth0|ada is enabled\n")
    unknown = running.run("user", "disable", "nobody@example.com")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no such user" in unknown.stderr


def test_logs_are_shown_together_and_one_by_one(running: Installation) -> None:
    assert "ready to accept connections" in running.run("logs", "postgres").stdout
    assert "==> " in running.run("logs").stdout


def test_a_supervisor_stopped_while_starting_leaves_nothing(fresh: Install) -> None:
    one = fresh()
    one.fails("auth-serve", "never comes up")
    with one.popen("up", "--port", str(one.port)) as process:
        assert process.stderr is not None
        while "auth ended with" not in (line := process.stderr.readline()):
            assert line
        pids = one.pids()
        process.terminate()
        process.communicate(timeout=LIMIT)
        assert process.returncode == 0
    wait_for_end([pid for pid in pids.values() if pid], seconds=0)


def test_doctor_names_data_that_the_state_folder_forgot(fresh: Install) -> None:
    one = fresh()
    assert one.start().returncode == 0
    assert one.run("down").returncode == 0
    record = one.home / "postgres.json"
    kept = record.read_text()
    record.unlink()
    found = one.run("doctor")
    record.write_text(kept)
    # An ordinary user's data is inside the state folder and cannot be forgotten.
    assert ("left-over data" in found.stdout and found.returncode == 1) == (os.geteuid() == 0)
