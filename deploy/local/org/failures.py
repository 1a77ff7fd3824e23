"""What a command says when it fails, and the exit code that goes with it."""

import re

from deploy.local.failures import Failure

FAILED, USAGE, NOT_FOUND, REFUSED, CONFLICT, UNAVAILABLE = 1, 2, 4, 5, 6, 7
EXIT_CODES = (
    "exit codes: 0 done · 1 failed · 2 wrong usage · 4 not found · 5 refused (401, 403) ·"
    " 6 conflict or changed meanwhile (409, 412) · 7 unavailable or too many requests"
)
_OF_STATUS = {
    401: REFUSED,
    403: REFUSED,
    404: NOT_FOUND,
    408: UNAVAILABLE,
    409: CONFLICT,
    412: CONFLICT,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST = 2_000


class Refused(Failure):
    """A command that did not do what it should."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def of_status(status: int, body: object, retry_after: str) -> Refused:
    """Return what an answer says that is no success: message and code of the published body, if it is one."""
    said = body if isinstance(body, dict) else {}
    message, code = said.get("message"), said.get("code")
    # A list of violations is as good as one message.
    text = ", ".join(map(str, message)) if isinstance(message, list) else message
    what = plain(str(text)) if text else "the API gives no reason"
    parts = [plain(code)] if isinstance(code, str) and code else []
    parts.append(f"HTTP {status}")
    if status == 429 and retry_after.isdigit():
        parts.append(f"again in {retry_after} s")
    return Refused(f"{what} ({', '.join(parts)})", _OF_STATUS.get(status, FAILED))


def plain(text: str) -> str:
    """Return a text that cannot steer a terminal."""
    return _CONTROL.sub(" ", text)[:_LONGEST]
