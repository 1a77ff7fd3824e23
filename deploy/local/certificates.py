"""An authority for this machine alone, and what it and a nameless one certify. Run as a child: `… certificates FOLDER`.

The authority is made once; whoever trusts it trusts it for the loopback addresses and `localhost` only. Its servers'
certificates are short, and made anew well before they end. What one process says to itself over the network is
certified by another authority, whose key nobody keeps: nobody else can join in.
"""

import ipaddress
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.state import write_private

_AUTHORITY_DAYS, _SERVER_DAYS, _PEER_DAYS = 3650, 30, 3650
_RENEW_DAYS = 10
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NAMES = [
    x509.DNSName("localhost"),
    # What containers and their clients can both call the edge.
    x509.DNSName("ratoon.localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
]
_UNUSED = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "encipher_only", "decipher_only"),
)
_Key = ec.EllipticCurvePrivateKey


def ensure(folder: Path, now: datetime | None = None, *, server_days: int = _SERVER_DAYS) -> None:
    """Make in `folder` what is missing or about to end; the authority is never replaced."""
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "ca.pem").exists():
        key, certificate = _authority("Ratoon on this machine", now, constrained=True)
        _keep(folder / "ca-key.pem", key)
        # Written last: where it is, the key is.
        _keep(folder / "ca.pem", certificate)
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    if _ends_soon(folder / "server.pem", now):
        signing = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
        assert isinstance(signing, _Key)
        _certify(folder, "server", signing, authority, now, server_days)
    if _ends_soon(folder / "peer.pem", now):
        forgotten, authority = _authority("Ratoon's storage, to itself", now, constrained=False)
        _keep(folder / "peer-ca.pem", authority)
        _certify(folder, "peer", forgotten, authority, now, _PEER_DAYS)


def _ends_soon(path: Path, now: datetime) -> bool:
    if not path.exists():
        return True
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return ends - now < timedelta(days=_RENEW_DAYS)


def _authority(name: str, now: datetime, *, constrained: bool) -> tuple[_Key, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = dict.fromkeys(_UNUSED, False)
    builder = (
        _builder(name, name, now, _AUTHORITY_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if constrained:
        places: list[x509.GeneralName] = [x509.DNSName("localhost")]
        places += [x509.IPAddress(network) for network in _LOOPBACK]
        builder = builder.add_extension(
            x509.NameConstraints(permitted_subtrees=places, excluded_subtrees=None), critical=True
        )
    return key, builder.sign(key, hashes.SHA256())


def _certify(
    folder: Path, name: str, signing: _Key, authority: x509.Certificate, now: datetime, days: int
) -> None:
    """Write `name`-key.pem and `name`.pem; a server between the two has the old pair or none that fits, for a moment."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    uses = [ExtendedKeyUsageOID.SERVER_AUTH]
    if name == "peer":
        uses.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    certificate = (
        _builder("localhost", str(issuer), now, days)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_NAMES), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
        .sign(signing, hashes.SHA256())
    )
    _keep(folder / f"{name}-key.pem", key)
    _keep(folder / f"{name}.pem", certificate)


def _builder(subject: str, issuer: str, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .serial_number(x509.random_serial_number())
        # A clock that is a little behind must not refuse what was made just now.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _keep(path: Path, what: _Key | x509.Certificate) -> None:
    encoding = serialization.Encoding.PEM
    if isinstance(what, x509.Certificate):
        text = what.public_bytes(encoding)
    else:
        form = serialization.PrivateFormat.PKCS8
        text = what.private_bytes(encoding, form, serialization.NoEncryption())
    write_private(path, text.decode())


if __name__ == "__main__":
    ensure(Path(sys.argv[1]))
