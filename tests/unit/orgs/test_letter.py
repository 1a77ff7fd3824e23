"""What the mail of an invitation says, whatever people called themselves and their organizations."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.orgs.commands.mails import DueMail
from services.orgs.domain.invitations import address, folded
from services.orgs.mail.letter import harmless, letter

LINK = "https://dash.example.org/user/invitations?id=1"
SENDER = "Ratoon <no-reply@example.org>"


def written(name: str = "Shop", email: str = "a@example.com", inviter: str = "") -> EmailMessage:
    """Return the mail as the recipient's program reads it."""
    mail = DueMail(7, 1, UUID(int=1), name, email, inviter, datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
    sent = letter(mail, SENDER, LINK).as_bytes()
    read = message_from_bytes(sent, policy=default)
    assert isinstance(read, EmailMessage)
    return read


def test_it_says_who_invites_where_to_and_until_when() -> None:
    mail = written("Ünternehmen & Söhne", inviter="ada@example.com")
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert mail["Subject"] == "You are invited to join Ünternehmen & Söhne"
    for said in ("Ünternehmen & Söhne", "ada@", "2030-01-02 03:04 UTC", LINK):
        assert said in plain.get_content()
    assert "Ünternehmen &amp; Söhne" in html.get_content()
    assert mail["Message-ID"] == f"<{UUID(int=1)}.7@invitations.ratoon>"


@given(name=st.text(max_size=300), inviter=st.text(max_size=100))
def test_no_name_becomes_a_header_markup_or_a_link(name: str, inviter: str) -> None:
    mail = written(name, inviter=inviter)
    headers = {
        *("From", "To", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version"),
        "Content-Type",
    }
    assert set(mail.keys()) == headers
    assert mail["To"] == "a@example.com"
    html = mail.get_body(("html",))
    assert html is not None
    content = html.get_content()
    assert content.count("<a ") == content.count('href="') == 1
    assert content.count("<p>") == 3
    assert "http" not in harmless(name + inviter) or "://" not in harmless(name + inviter)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  Shop\t\r\nNo. 1 ", "Shop No.\u200b 1"),
        ("evil.example", "evil.\u200bexample"),
        ("https://x", "https:\u200b/\u200b/\u200bx"),
        ("a\u202eb\u200bc\x00d", "a b c d"),
        ("x" * 101, "x" * 99 + "…"),
        ("", ""),
    ],
)
def test_what_is_made_of_a_text(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.one_of(st.emails(), st.text(max_size=80), st.from_regex(r"\A[!-~]{1,40}@[!-~]{1,40}\Z")))
def test_every_address_that_is_taken_can_be_written_to(text: str) -> None:
    try:
        taken = address(text)
    except Refusal as refusal:
        assert refusal.reason == "EMAIL_INVALID"  # noqa: PT017 - most texts are none
        return
    assert (taken, folded(taken)) == (folded(text), taken)
    header = written(email=taken)["To"]
    assert isinstance(header, AddressHeader)
    (to,) = header.addresses
    assert f"{to.username}@{to.domain}" == taken
