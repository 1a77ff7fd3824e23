"""An archive of strangers into a folder: what would leave the folder, or fill the disk, is refused."""

import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from services.snapshots.contexts.digests import Contents, Folder, Part

# A long name or an extended header is read into memory at once.
_LARGEST_HEADER = 1 << 20
_DEEPEST = 255
# More than that cannot be judged by its digest, and need not be remembered.
_MOST_NOTED = 1_000
_CHUNK = 1 << 20
# What a file system says of entries that cannot be there side by side, or not under this name.
_CONTRADICTIONS = {
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EMLINK),
}


class ArchiveRefused(Exception):
    """It is no archive that may be unpacked; the text says why."""


class _Member(tarfile.TarInfo):
    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type not in tarfile.REGULAR_TYPES and self.size > _LARGEST_HEADER:
            raise ArchiveRefused("it holds a header that is too large")
        return super()._proc_member(archive)  # type: ignore[misc]  # not in the stubs


def unpack(archive: BinaryIO, folder: Path, *, most_bytes: int, most_entries: int) -> Contents:
    """Unpack into an existing folder, which may hold what was unpacked before; return what was found."""
    unpacking = _Unpacking(archive, folder)
    total = 0
    try:
        for number, member in enumerate(_members(archive)):
            total += member.size if member.isreg() else 0
            if total > most_bytes:
                raise ArchiveRefused(f"it unpacks to more than {most_bytes} bytes")
            if number >= most_entries:
                raise ArchiveRefused(f"it has more than {most_entries} entries")
            unpacking.take(member)
        unpacking.finish()
    except (tarfile.TarError, EOFError, RecursionError, ValueError, OverflowError) as broken:
        raise ArchiveRefused("it is no tar archive, or a damaged one") from broken
    except OSError as failed:
        if failed.errno not in _CONTRADICTIONS:
            raise
        raise ArchiveRefused("its entries contradict each other") from failed
    return unpacking.contents


def _members(archive: BinaryIO) -> Iterator[tarfile.TarInfo]:
    archive.seek(0)
    with tarfile.open(fileobj=archive, mode="r:", tarinfo=_Member, errorlevel=2) as opened:
        while (member := opened.next()) is not None:
            # The library remembers all of them otherwise.
            opened.members.clear()  # type: ignore[attr-defined]  # not in the stubs
            yield member
        # The library takes whatever is no header for the end.
        archive.seek(opened.offset)
        if archive.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ArchiveRefused("it ends too early")


class _Unpacking:
    def __init__(self, archive: BinaryIO, folder: Path) -> None:
        self._archive, self._root = archive, folder
        self.contents = Contents()
        self._base: tuple[str, ...] = ()
        self._noted = 0
        # Set when all is there: a folder that must not be written to would take nothing.
        self._folders: dict[Path, tuple[int, float]] = {}

    def take(self, member: tarfile.TarInfo) -> None:
        parts = _parts(member.name)
        target = self._root.joinpath(*parts)
        if parts:
            self._make_folders(parts[:-1])
        if member.isdir():
            self._folder(target, member)
        elif member.isreg() and not member.issparse():
            self._file(target, member)
        elif member.issym():
            self._replace(target)
            target.symlink_to(member.linkname)
        elif member.islnk():
            self._hard_link(target, member)
        else:
            raise ArchiveRefused(f"{member.name!r} is neither a file nor a folder nor a link")
        self._note(member, parts)

    def finish(self) -> None:
        for folder, (mode, moment) in reversed(self._folders.items()):
            folder.chmod(mode)
            os.utime(folder, (moment, moment))
        # Links that were fine one by one may lead out together; those of earlier archives count too.
        root = os.path.realpath(self._root)
        for link in _links(self._root):
            if not Path(os.path.realpath(link)).is_relative_to(root):
                name = link.relative_to(self._root)
                raise ArchiveRefused(f"the link {str(name)!r} leads out of it")

    def _make_folders(self, parts: tuple[str, ...]) -> None:
        """Make the folders on the way; none of them may be a link."""
        path = self._root
        for part in parts:
            path = path / part
            try:
                path.mkdir(mode=0o755)
            except FileExistsError:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise ArchiveRefused(
                        f"{part!r} is a file or a link, and a folder too"
                    ) from None

    def _folder(self, target: Path, member: tarfile.TarInfo) -> None:
        if target != self._root:
            self._make_folders(target.relative_to(self._root).parts)
            # Whoever unpacked it must be able to read and to remove it.
            self._folders[target] = (member.mode & 0o777 | 0o700, _moment(member))

    def _file(self, target: Path, member: tarfile.TarInfo) -> None:
        self._replace(target)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._archive.seek(member.offset_data)
        with os.fdopen(os.open(target, flags, 0o600), "wb") as out:
            left = member.size
            while left:
                chunk = self._archive.read(min(left, _CHUNK))
                if not chunk:
                    raise ArchiveRefused("it ends too early")
                out.write(chunk)
                left -= len(chunk)
        # Nobody gets the rights of another user by running it.
        target.chmod(member.mode & 0o777 | 0o400)
        os.utime(target, (_moment(member), _moment(member)))

    def _hard_link(self, target: Path, member: tarfile.TarInfo) -> None:
        parts = _parts(member.linkname)
        source = self._root
        for part in parts:
            if not stat.S_ISDIR(source.lstat().st_mode):
                raise ArchiveRefused(f"{member.name!r} links to something that is not in it")
            source = source / part
        if not parts or not stat.S_ISREG(source.lstat().st_mode):
            raise ArchiveRefused(f"{member.name!r} links to something that is no file")
        if source != target:
            self._replace(target)
            os.link(source, target, follow_symlinks=False)

    def _replace(self, target: Path) -> None:
        """Make way for what comes later of the same name; never a folder."""
        if target == self._root:
            raise ArchiveRefused("it is to be unpacked into a folder, and is none")
        target.unlink(missing_ok=True)

    def _note(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        """Remember what the digest may have been taken of."""
        contents = self.contents
        self._noted += 1
        if self._noted > _MOST_NOTED:
            contents.plain, contents.root = False, None
            return
        part = Part(member.offset_data, member.size)
        if contents.root is None and contents.plain:
            contents.base, self._base = member.name, parts
            if member.isdir() or member.isreg():
                contents.root = Folder() if member.isdir() else part
            else:
                contents.plain = False
            return
        inside = parts[len(self._base) :]
        within = parts[: len(self._base)] == self._base and inside
        if not within or not isinstance(contents.root, Folder) or member.issym() or member.islnk():
            contents.plain = False
            if isinstance(contents.root, Part):
                contents.root = None
            return
        folder = contents.root
        for name in inside[:-1]:
            folder = folder.folders.setdefault(name, Folder())
        if member.isdir():
            folder.folders.setdefault(inside[-1], Folder())
        else:
            folder.files[inside[-1]] = part


def _parts(name: str) -> tuple[str, ...]:
    """Return the folders and the name; as COPY does, `..` at the beginning stays where it is: there is nothing above."""
    path = PurePosixPath(name)
    if path.is_absolute():
        raise ArchiveRefused(f"{name!r} is an absolute path")
    parts = path.parts
    while parts[:1] == ("..",):
        parts = parts[1:]
    if ".." in parts or "\0" in name:
        raise ArchiveRefused(f"{name!r} leads back")
    if len(parts) > _DEEPEST:
        raise ArchiveRefused("its folders are too deep")
    return parts


def _moment(member: tarfile.TarInfo) -> float:
    # What no file system can hold is no reason to refuse the rest.
    return float(min(max(member.mtime, 0), 2**33))


def _links(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        yield from (p for p in (Path(base, n) for n in (*folders, *files)) if p.is_symlink())
