"""What proves to a receiver that a message is ours: Standard Webhooks, with one signature for each secret."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

# Receivers that were written for the published API look for these names.
_ALIASES = ("webhook", "svix")


def headers_for(
    message_id: str, payload: str, secrets: Sequence[str], now: datetime
) -> dict[str, str]:
    """Return the headers of an attempt at this moment."""
    signatures = " ".join(Webhook(s).sign(message_id, now, payload) for s in secrets)
    said = {"id": message_id, "timestamp": str(int(now.timestamp())), "signature": signatures}
    return {f"{alias}-{name}": value for alias in _ALIASES for name, value in said.items()}
