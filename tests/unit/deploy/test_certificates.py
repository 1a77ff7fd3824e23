"""The authority of an installation: it vouches for this machine and for nothing else, and lasts."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from deploy.local.certificates import ensure

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _verify(ca: Path, leaf: x509.Certificate, subject: x509.GeneralName, when: datetime) -> None:
    assert isinstance(subject, x509.DNSName | x509.IPAddress)
    builder = PolicyBuilder().store(Store([_load(ca)])).time(when)
    builder.build_server_verifier(subject).verify(leaf, [])


@pytest.mark.parametrize(
    "subject",
    [
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    ],
)
def test_it_vouches_for_this_machine(tmp_path: Path, subject: x509.GeneralName) -> None:
    ensure(tmp_path, NOW)
    _verify(tmp_path / "ca.pem", _load(tmp_path / "server.pem"), subject, NOW)
    with pytest.raises(VerificationError):
        _verify(tmp_path / "peer-ca.pem", _load(tmp_path / "server.pem"), subject, NOW)
    with pytest.raises(VerificationError):
        _verify(tmp_path / "ca.pem", _load(tmp_path / "peer.pem"), subject, NOW)


@pytest.mark.parametrize(
    "subject",
    [
        x509.DNSName("example.com"),
        x509.DNSName("api.daytona.io"),
        x509.IPAddress(ip_address("10.0.0.1")),
    ],
)
def test_whoever_stole_its_key_can_pose_as_nobody_else(
    tmp_path: Path, subject: x509.GeneralName
) -> None:
    ensure(tmp_path, NOW)
    signing = load_pem_private_key((tmp_path / "ca-key.pem").read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    server = _load(tmp_path / "server.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(server.subject).issuer_name(server.issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    for extension in server.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(x509.SubjectAlternativeName([subject]), critical=False)
    forged = builder.sign(signing, hashes.SHA256())
    with pytest.raises(VerificationError, match="onstraint"):
        _verify(tmp_path / "ca.pem", forged, subject, NOW)


def test_it_stays_and_its_certificates_are_renewed_in_time(tmp_path: Path) -> None:
    ensure(tmp_path, NOW)
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    ensure(tmp_path, NOW + timedelta(days=19))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == first
    later = NOW + timedelta(days=21)
    ensure(tmp_path, later)
    changed = {p.name for p in tmp_path.iterdir() if p.read_bytes() != first[p.name]}
    assert changed == {"server.pem", "server-key.pem"}
    server = _load(tmp_path / "server.pem")
    _verify(tmp_path / "ca.pem", server, x509.DNSName("localhost"), later + timedelta(days=29))


def test_keys_are_for_the_owners_eyes_and_one_is_kept_by_nobody(tmp_path: Path) -> None:
    ensure(tmp_path / "tls", NOW)
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    found = {p.name for p in (tmp_path / "tls").iterdir()}
    assert found == {
        *("ca.pem", "ca-key.pem", "server.pem", "server-key.pem"),
        *("peer-ca.pem", "peer.pem", "peer-key.pem"),
    }
    for path in (tmp_path / "tls").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
