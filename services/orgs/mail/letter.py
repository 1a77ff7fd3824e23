"""What the mail for an invitation says; nothing that somebody chose can become a header, markup or a link."""

import unicodedata
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from services.orgs.commands.mails import DueMail

_LONGEST = 100
# Between what mail programs would make a link of, where it is not seen.
_BREAK = "\u200b"
_TEXT = """\
{inviter} invites you to join the organization {organization}.

Accept or decline the invitation here, signed in with this address:

{link}

It can be accepted until {expires}. If you did not expect it, leave it alone.
"""
_HTML = """\
<!doctype html>
<html lang="en"><body>
<p>{inviter} invites you to join the organization <strong>{organization}</strong>.</p>
<p><a href="{link}">Accept or decline the invitation</a>, signed in with this address:<br>{link}</p>
<p>It can be accepted until {expires}. If you did not expect it, leave it alone.</p>
</body></html>
"""


def letter(mail: DueMail, sender: str, link: str) -> EmailMessage:
    organization = harmless(mail.organization_name)
    said = {
        "organization": organization,
        "inviter": harmless(mail.invited_by) or "An owner",
        "link": link,
        "expires": mail.expires_at.strftime("%Y-%m-%d %H:%M UTC"),
    }
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mail.email
    message["Subject"] = f"You are invited to join {organization}"
    # The same for every attempt, so that a mail that was sent twice can be known as one.
    message["Message-ID"] = f"<{mail.invitation_id}.{mail.id}@invitations.ratoon>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_TEXT.format(**said))
    html = {name: escape(value) for name, value in said.items()}
    message.add_alternative(_HTML.format(**html), subtype="html")
    return message


def harmless(text: str) -> str:
    """Return a text on one line, not too long, without what mail programs take for an address."""
    visible = (c if not unicodedata.category(c).startswith(("C", "Z")) else " " for c in text)
    line = " ".join("".join(visible).split())
    if len(line) > _LONGEST:
        line = line[: _LONGEST - 1] + "…"
    return "".join(f"{c}{_BREAK}" if c in ".:/@" else c for c in line)
