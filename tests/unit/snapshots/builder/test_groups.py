"""Control groups of either version, in folders that look like them."""

from pathlib import Path

from services.snapshots.builder.groups import Group, Limits


def test_version_one(tmp_path: Path) -> None:
    for controller in ("memory", "cpu", "pids"):
        (tmp_path / controller).mkdir()
    group = Group("b", tmp_path)
    files = group.make(Limits(memory=1 << 20, cpus=1.5, processes=7))
    made = {f.parent.parent.parent.name: f.parent for f in files}
    assert made.keys() == {"memory", "cpu", "pids"}
    assert (made["memory"] / "memory.limit_in_bytes").read_text() == str(1 << 20)
    assert (made["cpu"] / "cpu.cfs_quota_us").read_text() == "150000"
    assert (made["pids"] / "pids.max").read_text() == "7"
    assert not group.ran_out_of_memory()
    (made["memory"] / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 2\n")
    assert group.ran_out_of_memory()


def test_version_two(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    group = Group("b", tmp_path)
    [file] = group.make(Limits(memory=1 << 20, cpus=2, processes=7))
    assert (file.parent / "memory.max").read_text() == str(1 << 20)
    assert (file.parent / "cpu.max").read_text() == "200000 100000"
    assert "+memory" in (tmp_path / "cgroup.subtree_control").read_text()
    (file.parent / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert group.ran_out_of_memory()
