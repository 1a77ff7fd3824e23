"""The mail of an invitation: sent once it is committed, whatever happens on the way, and not for what is over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from chassis.listen import Wakeups
from services.orgs.commands import mails
from services.orgs.mail.mailer import Mailer, back_off
from services.orgs.mail.post import Post
from services.orgs.serving import mailers, serve
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.actor import Actor, age, an_owner, somebody
from tests.integration.orgs.conftest import House, a_house, outcome, refusal
from tests.mailbox import PASSWORD, USER, Mailbox, a_mailbox

_STATE = "SELECT attempts, last_error, sent_at IS NOT NULL, due_at = 'infinity' FROM mails WHERE invitation_id = $1"
_ALL_AGED = (
    "UPDATE mails SET created_at = created_at - $1::interval, sent_at = sent_at - $1::interval"
)


@dataclass(frozen=True)
class Office:
    """An orgs that sends mails, to a server of the test."""

    house: House
    mailbox: Mailbox
    wakeups: Wakeups

    def mailer(self, lease: float = 60.0, **changes: Any) -> Mailer:
        relay = self.house.settings.relay()
        assert relay is not None
        sessions, delivery = self.house.database.sessions, self.house.settings.delivery()
        post = Post(replace(relay, **changes), seconds=5.0)
        return Mailer(
            sessions, self.wakeups, post, delivery, lease=lease, retry_after=lambda _: 0.02
        )

    @asynccontextmanager
    async def open(self, *sending: Mailer) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(m.run()) for m in sending or (self.mailer(),)]
        yield
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended)

    async def state(self, invitation_id: str) -> tuple[int, str, bool, bool] | None:
        """Return attempts, last error, whether it was sent and whether it was given up."""
        row = await self.house.database.pool.fetchrow(_STATE, invitation_id)
        return None if row is None else tuple(row)

    async def until(self, invitation_id: str, condition: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(20):
            while not condition(state := await self.state(invitation_id)):
                continue
        return state

    async def sent(self, invitation_id: str) -> int:
        """Return at which attempt it was sent."""
        return int((await self.until(invitation_id, lambda s: s is not None and s[2]))[0])

    async def age(self, by: str) -> None:
        seconds = timedelta(days=2) if by == "days" else timedelta(seconds=61)
        await self.house.database.pool.execute(_ALL_AGED, seconds)


@pytest.fixture
async def office(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> AsyncIterator[Office]:
    url = await make_database("services.orgs")
    wakeups = Wakeups(url, "mailer")
    listening = asyncio.create_task(wakeups.run((mails.CHANNEL,)))
    async with a_mailbox() as mailbox:
        settings = {
            "smtp_host": "127.0.0.1",
            "smtp_port": mailbox.port,
            "smtp_email_from": "Ratoon <no-reply@example.org>",
            "dashboard_url": "https://dash.example.org/",
        }
        async with a_house(url, keyring, tmp_path, **settings) as house:
            yield Office(house, mailbox, wakeups)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


async def test_whoever_is_invited_gets_a_mail(office: Office) -> None:
    owner = await an_owner(office.house)
    async with office.open(*mailers(office.house.database, office.wakeups, office.house.settings)):
        made = await owner.invite("Guest@Example.com")
        mail = await office.mailbox.next()
        assert await office.sent(made.id) == 1
    assert (mail["To"], mail["From"]) == ("guest@example.com", "Ratoon <no-reply@example.org>")
    assert office.mailbox.recipients == ["guest@example.com"]
    assert mail["Subject"] == "You are invited to join Shop"
    link = f"https://dash.example.org/user/invitations?id={made.id}"
    assert link in text_of(mail).splitlines()
    html = mail.get_body(("html",))
    assert html is not None
    assert f'href="{link}"' in html.get_content()
    # Where mails are sent no link is handed about.
    assert made.link == ""
    assert [i.link for i in (await owner.list_invitations()).invitations] == [""]
    assert (await owner.change_invitation(made.id)).link == ""
    assert office.mailbox.mails.empty()


async def test_a_server_that_is_away_is_waited_for(office: Office) -> None:
    owner = await an_owner(office.house)
    await office.mailbox.close()
    async with office.open():
        made = await owner.invite("a@example.com")
        state = await office.until(made.id, lambda s: s[0] > 2)
        assert state[1] == "SMTPConnectError"
        await office.mailbox.open()
        assert (await office.mailbox.next())["To"] == "a@example.com"
        assert await office.sent(made.id) > 2
    assert (await office.state(made.id))[1] == ""  # type: ignore[index]  # it is there


@pytest.mark.parametrize("answer", ["451 later", "550 no such mailbox"])
async def test_a_mail_that_is_refused_is_sent_again(office: Office, answer: str) -> None:
    owner = await an_owner(office.house)
    office.mailbox.answers = [answer]
    async with office.open():
        made = await owner.invite("a@example.com")
        assert (await office.mailbox.next())["To"] == "a@example.com"
        assert await office.sent(made.id) == 2


async def test_the_server_knows_who_sends(office: Office) -> None:
    await office.mailbox.close()
    office.mailbox.demand_login()
    await office.mailbox.open()
    owner = await an_owner(office.house)
    async with office.open(office.mailer(user=USER, password="wrong-password")):
        made = await owner.invite("a@example.com")
        state = await office.until(made.id, lambda s: s[1] != "")
        assert state[1] == "SMTPAuthenticationError 535"
    async with office.open(office.mailer(user=USER, password=PASSWORD)):
        await office.mailbox.next()
    assert office.mailbox.logins[-1] is True


async def test_where_tls_is_demanded_nothing_is_said_without(office: Office) -> None:
    owner = await an_owner(office.house)
    async with office.open(office.mailer(secure=True)):
        made = await owner.invite("a@example.com")
        await office.until(made.id, lambda s: s[1] != "")
    assert office.mailbox.mails.empty()


async def test_what_was_claimed_by_somebody_who_died_is_sent(office: Office) -> None:
    owner = await an_owner(office.house)
    made = await owner.invite("a@example.com")
    async with office.house.database.sessions.begin() as session:
        (claimed,) = await mails.claim(session, most=8, lease=0.5)
    assert str(claimed.invitation_id) == made.id
    async with office.house.database.sessions.begin() as session:
        assert await mails.claim(session, most=8, lease=0.5) == []
    async with office.open():
        await office.mailbox.next()
        assert await office.sent(made.id) == 2
    # Had it only been slow, its failure would be none of ours any more.
    async with office.house.database.sessions.begin() as session:
        assert await mails.postpone(session, claimed, "late", 0.0) is None


async def test_a_mailer_that_is_stopped_while_it_sends_has_not_sent(office: Office) -> None:
    owner = await an_owner(office.house)
    silent: list[asyncio.StreamWriter] = []
    held = await asyncio.start_server(lambda _, w: silent.append(w), "127.0.0.1", 0)
    port = held.sockets[0].getsockname()[1]
    async with office.open(office.mailer(lease=0.5, port=port)):
        made = await owner.invite("a@example.com")
        await office.until(made.id, lambda s: s[0] == 1)
    held.close()
    for writer in silent:
        writer.close()
    async with office.open():
        await office.mailbox.next()
        assert await office.sent(made.id) == 2


async def test_many_mailers_send_each_mail_once(office: Office) -> None:
    owner = await an_owner(office.house)
    made = [await owner.invite(f"{n}@example.com") for n in range(30)]
    async with office.open(*(office.mailer() for _ in range(4))):
        got = [await office.mailbox.next() for _ in made]
        for invitation in made:
            assert await office.sent(invitation.id) == 1
    assert sorted(m["To"] for m in got) == sorted(i.email for i in made)
    assert office.mailbox.mails.empty()


async def test_what_is_over_is_not_sent(office: Office) -> None:
    owner, guest = await an_owner(office.house), await somebody(office.house)
    cancelled, expired, declined = [
        await owner.invite(e) for e in ("a@example.com", "b@example.com", guest.email)
    ]
    await owner.cancel(cancelled.id)
    await age(owner, expired.id)
    await guest.decline(declined.id)
    last = await owner.invite("last@example.com")
    async with office.open():
        assert (await office.mailbox.next())["To"] == "last@example.com"
        await office.sent(last.id)
        for invitation in (cancelled, expired, declined):
            await office.until(invitation.id, lambda s: s is None)
    assert office.mailbox.mails.empty()


async def test_after_a_day_it_is_given_up(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    owner = await an_owner(office.house)
    office.mailbox.answers = ["451 later"] * 1_000
    async with office.open():
        made = await owner.invite("a@example.com")
        await office.until(made.id, lambda s: s[0] > 2)
        await office.age("days")
        state = await office.until(made.id, lambda s: s[3])
    assert (state[1], state[2]) == ("SMTPDataError 451", False)
    assert "given up" in caplog.text
    async with office.house.database.sessions.begin() as session:
        assert await mails.claim(session, most=8, lease=1.0) == []
        assert await mails.next_due(session) is None


async def test_a_mail_is_sent_once_more_but_not_at_once(office: Office) -> None:
    owner = await an_owner(office.house)
    async with office.open():
        made = await owner.invite("a@example.com")
        first = await office.mailbox.next()
        await office.sent(made.id)
        refused = await refusal(owner.resend(made.id))
        assert refused == ("RESOURCE_EXHAUSTED", "MAIL_TOO_SOON")
        await office.age("a minute")
        again = await owner.resend(made.id)
        second = await office.mailbox.next()
        await office.sent(made.id)
        assert await outcome(owner.resend(made.id)) == "MAIL_TOO_SOON"
    assert again == made
    assert first["Message-ID"] != second["Message-ID"]
    assert (await owner.audited())[-1] == ("update", "organization_invitation", made.id)


async def test_without_a_mail_server_a_link_is_handed_out(house: House) -> None:
    owner = await an_owner(house)
    made = await owner.invite("a@example.com")
    assert mailers(house.database, Wakeups("", ""), house.settings) == []
    assert await owner.resend(made.id) == made
    assert (await owner.change_invitation(made.id)).link == made.link != ""
    assert await house.database.pool.fetchval("SELECT count(*) FROM mails") == 0


async def test_names_cannot_write_the_mail(office: Office) -> None:
    person, _ = await office.house.person()
    evil = "evil.example\r\nBcc: all@example.com"
    made = await office.house.create(person, evil)
    owner = Actor(office.house, person, made.id)
    async with office.open():
        await owner.invite("a@example.com")
        mail = await office.mailbox.next()
    assert mail["Bcc"] is None
    assert office.mailbox.recipients == ["a@example.com"]
    said = mail["Subject"] + text_of(mail)
    assert "evil.example" not in said.replace("invitations?id", "")
    assert "evil.\u200bexample Bcc:\u200b all@\u200bexample" in said


async def test_a_mailer_outlives_a_database_that_goes_away(office: Office) -> None:
    owner = await an_owner(office.house)
    async with office.open():
        await owner.invite("a@example.com")
        await office.mailbox.next()
        await office.house.database.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        async with asyncio.timeout(10):
            while await outcome(owner.invite("b@example.com")) == "UNAVAILABLE":
                continue
        assert (await office.mailbox.next())["To"] == "b@example.com"


async def test_the_server_sends_and_ends_in_order(office: Office, tmp_path: Path) -> None:
    owner, stop = await an_owner(office.house), asyncio.Event()
    told = {"listen": f"unix:{tmp_path}/served"}
    serving = asyncio.create_task(serve(office.house.settings.model_copy(update=told), stop))
    made = await owner.invite("a@example.com")
    assert (await office.mailbox.next())["To"] == "a@example.com"
    stop.set()
    await asyncio.wait_for(serving, 15)
    # What had begun was finished: nobody sends it once more.
    assert await office.state(made.id) == (1, "", True, False)


async def test_tls_is_begun_where_it_is_offered(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await an_owner(office.house)
    await office.mailbox.close()
    office.mailbox.demand_tls(certificate := tmp_path / "mail.pem")
    await office.mailbox.open()
    async with office.open():
        made = await owner.invite("a@example.com")
        # Nobody vouches for the server yet.
        await office.until(made.id, lambda s: s[1] != "")
        assert office.mailbox.mails.empty()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await office.mailbox.next()
        assert await office.sent(made.id) > 1
    assert office.mailbox.secured


def test_it_is_tried_again_at_growing_intervals() -> None:
    assert [back_off(n) for n in (1, 2, 3)] == [5.0, 10.0, 20.0]
    assert back_off(20) == back_off(1_000) == 1_800.0
