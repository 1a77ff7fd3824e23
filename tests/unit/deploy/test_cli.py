"""The command line's arguments."""

from pathlib import Path

import pytest

from deploy.local import cli
from deploy.local.parser import parser
from deploy.local.state import default_home


def test_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RATOON_PORT", raising=False)
    parsed = parser().parse_args(["up"])
    assert (parsed.port, parsed.edge, parsed.detach, parsed.postgres_bin) == (
        3986,
        False,
        False,
        None,
    )


def test_variables_stand_in_for_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATOON_PORT", "4000")
    monkeypatch.setenv("RATOON_HOME", "/srv/one")
    monkeypatch.setenv("RATOON_POSTGRES_BIN", "/usr/lib/postgresql/15/bin")
    parsed = parser().parse_args(["up"])
    assert (parsed.port, parsed.home) == (4000, Path("/srv/one"))
    assert parsed.postgres_bin == Path("/usr/lib/postgresql/15/bin")
    assert parser().parse_args(["up", "--port", "4001"]).port == 4001


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["up", "--port", "0"],
        ["up", "--port", "65536"],
        ["up", "--port", "٣"],
        ["up", "--port", "-1"],
        ["key"],
        ["user", "add"],
        ["user", "disable"],
        ["user", "disable", "a@b.c", "--id", "x"],
        ["user", "list", "--format", "yaml"],
        ["status", "auth"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["down"],
        ["status"],
        ["status", "--json"],
        ["key", "new"],
        ["user", "add", "a@b.c"],
        ["user", "list"],
        ["user", "enable", "--id", "x"],
    ],
)
def test_what_needs_a_running_system_says_so(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--home", str(tmp_path)]) == 3
    assert "does not run" in capsys.readouterr().err


def test_logs_of_an_unknown_process_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["logs", "--home", str(tmp_path), "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_the_state_folder_is_found_from_anywhere() -> None:
    clone = Path(cli.__file__).parents[2]
    assert default_home({}) == clone / ".ratoon"
    assert default_home({"RATOON_HOME": "/srv/x"}) == Path("/srv/x")
