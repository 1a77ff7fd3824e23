"""Log files stay small and whole."""

from pathlib import Path

from deploy.local.logs import KEPT, rotate, tail


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    assert not rotate(log, limit=100)
    assert log.read_text() == "one\n"


def test_rotation_keeps_a_writer_that_appends(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        assert rotate(log, limit=100)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"old\n" * 100


def test_only_so_many_old_ones_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for number in range(KEPT + 3):
        log.write_text(f"{number}" * 200)
        rotate(log, limit=100)
    assert len(list(tmp_path.iterdir())) == KEPT + 1
    assert (tmp_path / "a.log.1").read_text().startswith(str(KEPT + 2))


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert tail(log, lines=2) == "  line 9998\n  line 9999"
    assert tail(tmp_path / "none.log") == "  (empty)"
