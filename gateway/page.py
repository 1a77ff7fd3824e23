"""The interactive page: reads the served document, calls operations; holds no credential beyond the open tab."""

import hashlib
from base64 import b64encode
from pathlib import Path

HTML = Path(__file__).with_name("page.html").read_text()


def _hash_of(tag: str) -> str:
    """Return the CSP source of the one inline element of that kind."""
    inside = HTML.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
    return f"'sha256-{b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


# Nothing but what is in the page runs, and it can talk to its own origin only.
POLICY = (
    f"default-src 'none'; script-src {_hash_of('script')}; style-src {_hash_of('style')};"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
