"""Pages of lists."""

from collections.abc import Callable
from typing import TypeVar

from chassis.pages import token_of

_Item = TypeVar("_Item")


def cut(
    items: list[_Item], size: int, position: Callable[[_Item], tuple[str | int, ...]]
) -> tuple[list[_Item], str]:
    """Return a page of what was read, which is one item more if there are more; and where the page ended."""
    if size <= 0 or len(items) <= size:
        return items, ""
    return items[:size], token_of(*position(items[size - 1]))
