"""SeaweedFS on this machine: an S3 storage for build contexts, closed to everybody but whom it is told of.

Of its servers only the one for S3 speaks to strangers; what the others are asked must come with a certificate that
only the process itself has.
"""

import base64
import json
import secrets
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import LOOPBACK
from deploy.local.process import Spec
from deploy.local.state import Home, write_private

PORTS = (
    *("s3", "s3-plain", "s3-grpc", "master", "master-grpc"),
    *("volume", "volume-grpc", "filer", "filer-grpc"),
)
BUCKET = "ratoon-contexts"
_REGION = "us-east-1"
_IDENTITY, _ROLE = "ratoon", "contexts"
_ROLE_ARN = f"arn:aws:iam::role/{_ROLE}"
_KEYS = "secrets/storage.json"
# At most so many files of so many MB, and so much of the disk is left to others.
_VOLUMES, _VOLUME_MB, _FREE = 64, 512, "2GiB"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where it lives, what it listens on, and how it is run."""

    home: Home
    program: Path
    runtime: Path
    ports: Mapping[str, int]
    # Where S3 listens; all else is on the loopback address.
    listen: str = LOOPBACK

    @property
    def _folder(self) -> Path:
        return self.home.secrets / "storage"

    @property
    def tls(self) -> Path:
        return self.home.tls

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.ports['s3']}"

    def prepare(self) -> None:
        """Write what it is told: its own certificate, one identity, one role."""
        for folder in (self._folder, self.home.storage):
            folder.mkdir(mode=0o700, exist_ok=True)
        keys = made_keys(self.home)
        write_private(self._folder / "security.toml", _security(self.tls))
        write_private(self._folder / "master.toml", _MASTER)
        write_private(self._folder / "identities.json", json.dumps(_identities(keys)))
        write_private(self._folder / "roles.json", json.dumps(_roles(keys)))

    def specs(self, environment: Mapping[str, str]) -> list[Spec]:
        server = Spec(
            name="storage",
            command=self._command(),
            environment=environment,
            ready_line=b"at https port",
            before=self.clear,
            # Going in order takes it a quarter of a minute; what it has said it keeps is written either way.
            stop_signal=signal.SIGKILL,
        )
        bucket = Spec(
            name="storage-bucket",
            command=(
                *(str(self.program), f"-config_dir={self._folder}", "-logtostderr=true", "shell"),
                f"-master={self._at('master')}",
                f"-filer={self._at('filer')}",
            ),
            environment=environment,
            after=("storage",),
            once=True,
            # Nothing happens when it is there.
            text=f"fs.mkdir /buckets/{BUCKET}\n",
        )
        return [server, bucket]

    def clear(self) -> None:
        """Remove the sockets that it leaves in a folder which cannot be chosen."""
        for server in ("s3", "master", "volume", "filer"):
            path = Path(f"/tmp/seaweedfs-{server}-grpc-{self.ports[f'{server}-grpc']}.sock")  # noqa: S108 - its choice
            with suppress(FileNotFoundError, PermissionError):
                path.unlink()

    def contexts_environment(self) -> dict[str, str]:
        """Return what the processes of snapshots are told of it."""
        keys = made_keys(self.home)
        told = {
            "ENDPOINT": self.url,
            "BUCKET": BUCKET,
            "REGION": _REGION,
            "ACCESS_KEY": keys["accessKey"],
            "SECRET_KEY": keys["secretKey"],
            "ROLE_ARN": _ROLE_ARN,
            "CA_FILE": str(self.tls / "ca.pem"),
        }
        return {f"SNAPSHOTS_CONTEXTS_{name}": value for name, value in told.items()}

    def _at(self, server: str) -> str:
        """Return host, port and the port for gRPC, as SeaweedFS writes them."""
        return f"{LOOPBACK}:{self.ports[server]}.{self.ports[f'{server}-grpc']}"

    def _command(self) -> tuple[str, ...]:
        ports = [
            option
            for server in ("master", "volume", "filer")
            for option in (
                f"-{server}.port={self.ports[server]}",
                f"-{server}.port.grpc={self.ports[f'{server}-grpc']}",
            )
        ]
        return (
            *(str(self.program), f"-config_dir={self._folder}", "-logtostderr=true", "server"),
            *(f"-dir={self.home.storage}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            *("-filer", "-s3", *ports),
            *(f"-s3.port.https={self.ports['s3']}", f"-s3.port={self.ports['s3-plain']}"),
            f"-s3.port.grpc={self.ports['s3-grpc']}",
            *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.ip.bind={self.listen}"),
            f"-s3.cert.file={self.tls / 'server.pem'}",
            f"-s3.key.file={self.tls / 'server-key.pem'}",
            f"-s3.config={self._folder / 'identities.json'}",
            f"-s3.iam.config={self._folder / 'roles.json'}",
            *("-s3.autoCreateBucket=false", "-s3.allowedOrigins=", "-filer.allowedOrigins="),
            f"-s3.localSocket={self.runtime / 's3.sock'}",
            f"-filer.localSocket={self.runtime / 'filer.sock'}",
            *("-filer.disableDirListing", "-filer.exposeDirectoryData=false"),
            # Alone, it need not wait for the votes of others.
            *("-master.electionTimeout=500ms", "-master.heartbeatInterval=100ms"),
            "-master.telemetry=false",
            *(f"-master.volumeSizeLimitMB={_VOLUME_MB}", f"-volume.max={_VOLUMES}"),
            *(f"-volume.minFreeSpace={_FREE}", "-s3.readerCacheSizeMB=16"),
        )


def made_keys(home: Home) -> dict[str, str]:
    """Return the key of the one identity and what session tokens are signed with, made once."""
    kept: dict[str, str] = home.read(_KEYS)
    if not kept:
        kept = {
            "accessKey": f"RATOON{secrets.token_hex(7).upper()}",
            "secretKey": secrets.token_urlsafe(32),
            "signingKey": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        home.write(_KEYS, kept)
    return kept


_MASTER = """\
[master.maintenance]
scripts = \"\"\"
  lock
  s3.clean.uploads -timeAgo=24h
  unlock
\"\"\"
sleep_minutes = 60

[master.volume_growth]
copy_1 = 1
"""


def _security(tls: Path) -> str:
    pair = {"cert": str(tls / "peer.pem"), "key": str(tls / "peer-key.pem")}
    ca = str(tls / "peer-ca.pem")
    sections: dict[str, dict[str, str | bool]] = {"grpc": {"ca": ca}}
    for name in ("master", "volume", "filer", "s3", "client"):
        sections[f"grpc.{name}"] = {**pair}
    for name in ("master", "volume", "filer"):
        sections[f"https.{name}"] = {**pair, "ca": ca}
    sections["https.client"] = {"enabled": True, **pair, "ca": ca}
    sections["cors.allowed_origins"] = {"values": ""}
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _identities(keys: Mapping[str, str]) -> dict[str, object]:
    allowed = [f"{verb}:{BUCKET}" for verb in ("Read", "List", "Write")]
    pair = {"accessKey": keys["accessKey"], "secretKey": keys["secretKey"]}
    return {"identities": [{"name": _IDENTITY, "credentials": [pair], "actions": allowed}]}


def _roles(keys: Mapping[str, str]) -> dict[str, object]:
    """Nobody but the one identity may assume the role: least of all who holds what was issued under it."""
    place = f"arn:aws:s3:::{BUCKET}"
    everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": [place, f"{place}/*"]}
    assume = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::000000000000:user/{_IDENTITY}"},
        "Action": ["sts:AssumeRole"],
    }
    version = {"Version": "2012-10-17"}
    return {
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "ratoon",
            "signingKey": keys["signingKey"],
        },
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "policies": [{"name": _ROLE, "document": {**version, "Statement": [everything]}}],
        "roles": [
            {
                "roleName": _ROLE,
                "roleArn": _ROLE_ARN,
                "trustPolicy": {**version, "Statement": [assume]},
                "attachedPolicies": [_ROLE],
            }
        ],
    }
