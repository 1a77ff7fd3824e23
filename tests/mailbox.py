"""A mail server in the test's own process."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

USER, PASSWORD = "relay-user", "relay-password"


class Mailbox:
    """Takes mails; and whatever it shall say instead of taking the next ones, it says."""

    def __init__(self) -> None:
        self.mails: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self.answers: list[str] = []
        self.recipients: list[str] = []
        self.logins: list[bool] = []
        self.secured = False
        self.port = 0
        self._server: asyncio.Server | None = None
        self._options: dict[str, Any] = {}

    # The names are aiosmtpd's.
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        message = message_from_bytes(envelope.original_content, policy=default)
        assert isinstance(message, EmailMessage)
        self.recipients += envelope.rcpt_tos
        self.secured = session.ssl is not None
        self.mails.put_nowait(message)
        return "250 OK"

    async def next(self) -> EmailMessage:
        return await asyncio.wait_for(self.mails.get(), 20)

    def demand_login(self) -> None:
        """Take mails only from who says the password."""

        def authenticate(*told: Any) -> AuthResult:
            login = told[-1]
            known = (USER.encode(), PASSWORD.encode())
            fits = isinstance(login, LoginPassword) and (login.login, login.password) == known
            self.logins.append(fits)
            return AuthResult(success=fits, handled=False)

        self._options = {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": False,
        }

    def demand_tls(self, certificate: Path) -> None:
        """Take mails only over TLS, begun on request, with a certificate that is written there."""
        key = generate_private_key(SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        own = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(own, critical=False)
            .sign(key, SHA256())
        )
        certificate.write_bytes(
            made.public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._options = {"tls_context": context, "require_starttls": True}

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._smtp, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _smtp(self) -> SMTP:
        loop = asyncio.get_running_loop()
        with warnings.catch_warnings():
            # That a password is wanted without TLS: here it is.
            warnings.simplefilter("ignore")
            return SMTP(
                self, enable_SMTPUTF8=True, hostname="mail.test", loop=loop, **self._options
            )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None


@asynccontextmanager
async def a_mailbox() -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    await mailbox.open()
    yield mailbox
    await mailbox.close()
