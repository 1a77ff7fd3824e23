"""An image to build on: a shell of Debian's, and what a shell wants."""

import io
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.images import Image, debian_archive, of_archives

_BUSYBOX = ("./usr/bin/busybox", "./bin/busybox")


@cache
def busybox() -> bytes:
    with TemporaryDirectory() as folder:
        archive = debian_archive(Path(folder), "busybox-static")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = next(name for name in _BUSYBOX if name in tar.getnames())
        file = tar.extractfile(found)
        assert file is not None
        return file.read()


@cache
def a_base() -> Image:
    """Return an image with busybox under all its names, and no entrypoint."""
    program, out = busybox(), io.BytesIO()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "busybox"
        path.write_bytes(program)
        path.chmod(0o755)
        names = subprocess.run([path, "--list"], capture_output=True, text=True, check=True)
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder_name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder_name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        for name in names.stdout.split():
            if name != "busybox":
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
    return of_archives(out.getvalue(), config={"Env": ["PATH=/bin"], "Cmd": ["sh"]})
