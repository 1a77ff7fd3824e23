"""What was packed is remembered, and a file that cannot be read costs nothing but the work."""

from pathlib import Path

import pytest

from services.snapshots.builder.shelf import Shelf
from services.snapshots.domain import Blob

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")


def test_what_was_kept_is_known_by_what_it_unpacks_to(tmp_path: Path) -> None:
    Shelf(tmp_path).keep({ONE: Blob(TWO, 7)})
    assert Shelf(tmp_path).known([ONE, TWO]) == {ONE: Blob(TWO, 7)}
    assert [path.name for path in tmp_path.iterdir()] == ["packed.json"]


def test_those_used_last_stay(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    names = [f"sha256:{number:064x}" for number in range(2001)]
    shelf.keep({name: Blob(name, 1) for name in names[:2000]})
    shelf.keep({names[0]: Blob(names[0], 1)})
    shelf.keep({names[2000]: Blob(names[2000], 1)})
    assert sorted(shelf.known(names)) == sorted({*names} - {names[1]})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1}', '{"a": ["b", 1]}', '{"a": ["b"]}', '{"a": [1, 2]}', "null"]
)
def test_a_broken_file_tells_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "packed.json").write_text(text)
    shelf = Shelf(tmp_path)
    assert shelf.known(["a"]) == {}
    shelf.keep({ONE: Blob(TWO, 7)})
    assert shelf.known([ONE]) == {ONE: Blob(TWO, 7)}
