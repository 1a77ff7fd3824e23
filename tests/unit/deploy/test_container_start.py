"""The starts of containers: what they are told by files, and control groups of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONTAINER = ROOT / "deploy" / "container"


def _run(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(map(str, (CONTAINER, ROOT)))
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("checked", "told"),
    [(None, "None None"), ("", "'true' ''"), ("no runsc\n", "'' 'no runsc'")],
)
def test_whether_there_is_a_builder_is_what_its_check_found(
    tmp_path: Path, checked: str | None, told: str
) -> None:
    file = tmp_path / "no-builder"
    if checked is not None:
        file.write_text(checked)
    code = "import os, room; room.take_secrets(); print(*(repr(os.environ.get(n)) for n in ('SNAPSHOTS_BUILDER', 'SNAPSHOTS_NO_BUILDER')))"
    said = _run(code, SNAPSHOTS_NO_BUILDER_FILE=str(file))
    assert said.stdout.strip() == told, said.stderr


def test_the_check_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "no-builder"
    code = f"import sys, builder; sys.argv[1:] = ['check', {str(file)!r}]; builder.main()"
    done = _run(code, SNAPSHOTS_BUILD_ISOLATION="off")
    assert (done.returncode, file.read_text()) == (0, "builds are switched off\n")


def test_the_containers_groups_become_its_own() -> None:
    """Mounted for reading, as engines mount them, in namespaces of its own; nothing of the machine's groups is touched."""
    if os.geteuid() != 0:
        pytest.fail("mounting control groups needs root on this machine")
    code = """
import pathlib, subprocess, builder
at = pathlib.Path('/mnt')
subprocess.run(['mount', '-t', 'cgroup2', '-o', 'nosuid,nodev,noexec', 'none', str(at)], check=True)
here = at / 'ratoon-test-container'
here.mkdir()
try:
    (here / 'cgroup.procs').write_text('0')
    subprocess.run(['mount', '-o', 'bind,ro', str(here), str(here)], check=True)
    builder.own_groups(here)
    print([group.name for group in here.iterdir() if group.is_dir()])
    print(pathlib.Path('/proc/self/cgroup').read_text().count('ratoon-test-container/self'))
finally:
    (at / 'cgroup.procs').write_text('0')
    subprocess.run(['umount', str(here)])
    (here / 'self').rmdir()
    here.rmdir()
"""
    words = ("unshare", "--mount", sys.executable, "-P", "-c", code)
    path = os.pathsep.join(map(str, (CONTAINER, ROOT)))
    said = subprocess.run(
        words,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.stdout.splitlines() == ["['self']", "1"], said.stderr
