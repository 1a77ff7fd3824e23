"""Text that is shown to other people than the one who wrote it."""

import re
import unicodedata

_MARKUP = re.compile(r"<[a-z/]", re.IGNORECASE)
_LINK = re.compile(
    r"(?:https?|s?ftps?|ssh|wss?|file|ldaps?)://|(?:javascript|data|mailto|tel):|www\.",
    re.IGNORECASE,
)
_LONGEST = 255


def displayable(text: str) -> bool:
    """Tell whether `text` may be shown as it is: not blank, no markup, no link, no control character, not too long."""
    return (
        bool(text.strip())
        and len(text) <= _LONGEST
        and not has_control(text)
        and not _MARKUP.search(text)
        and not _LINK.search(text)
    )


def has_control(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def tidy(text: str) -> str:
    """Return what may be kept of a text that somebody else vouches for, such as an issuer's claim."""
    kept = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))
    return kept.strip()[:_LONGEST]
