"""The bytes of a layer as its archive has them, unpacked piece by piece and never more than asked for."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Self

import zstandard

from services.snapshots.images.documents import invalid
from services.snapshots.images.failures import Code, PullFailed

_PIECE = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# What a reader of archives may ask for at once: names and attributes are not longer in any honest archive.
_LONGEST_READ = 1 << 20
# The largest window that a zstd archive may need memory for, as tools of its authors have it by default.
_ZSTD_WINDOW = 128 << 20


class Abandoned(Exception):
    """Whoever wanted to know does not any more."""


class Unpacked:
    """A file that is only read onwards, of pieces of any size.

    Raises PullFailed: IMAGE_INVALID when the bytes cannot be unpacked, IMAGE_TOO_LARGE behind `limit` bytes.
    """

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self.limit = limit
        self._sha = hashlib.sha256()
        self._buffer = memoryview(b"")
        self._abandoned = False
        self._at = 0
        self._end = 0
        # What was read last: a header that nobody understood, perhaps.
        self.last = b""

    @classmethod
    def of(cls, file: BinaryIO, limit: int) -> Self:
        """Unpack a file; what it is packed by shows in its first bytes, whatever a manifest says."""
        return cls(_pieces(file), limit)

    @property
    def size(self) -> int:
        return self._end

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha.hexdigest()}"

    def abandon(self) -> None:
        """Have the thread that reads give up at its next piece."""
        self._abandoned = True

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> int:
        """Go on to a position; there is no way back."""
        if position < self._at:
            invalid("a layer's archive refers back to what was read already")
        while self._at < position:
            if not self._buffer and not self._more():
                break
            self._take(position - self._at)
        return self._at

    def read(self, size: int) -> bytes:
        if size > _LONGEST_READ:
            invalid("a layer's archive has a name or an attribute that is longer than any can be")
        parts = []
        while size and (self._buffer or self._more()):
            part = self._take(size)
            parts.append(part)
            size -= len(part)
        self.last = b"".join(parts)
        return self.last

    def drain(self) -> bool:
        """Read what is left; return whether it is zeros, as behind the end of an archive."""
        zeros = True
        while self._buffer or self._more():
            zeros = not self._take(len(self._buffer)).tobytes().strip(b"\0") and zeros
        return zeros

    def _take(self, size: int) -> memoryview:
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        self._at += len(part)
        return part

    def _more(self) -> bool:
        if self._abandoned:
            raise Abandoned
        for piece in self._pieces:
            if piece:
                break
        else:
            return False
        self._end += len(piece)
        if self._end > self.limit:
            raise too_large(self.limit)
        self._sha.update(piece)
        self._buffer = memoryview(piece)
        return True


def too_large(limit: int) -> PullFailed:
    return PullFailed(Code.IMAGE_TOO_LARGE, f"the image unpacks to more than {limit} bytes")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    begin = file.read(4)
    file.seek(0)
    if begin.startswith(_GZIP):
        return _gunzipped(file)
    if begin == _ZSTD:
        return _unzstd(file)
    return iter(lambda: file.read(_PIECE), b"")


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    """Members may follow one another, as some tools write them; zeros may fill up the end."""
    packed = file.read(_PIECE)
    while packed.lstrip(b"\0"):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not packed and not (packed := file.read(_PIECE)):
                invalid("a layer ends in the middle of its gzip stream")
            try:
                piece = member.decompress(packed, _PIECE)
            except zlib.error as error:
                raise PullFailed(Code.IMAGE_INVALID, "a layer is not a gzip stream") from error
            packed = member.unconsumed_tail
            yield piece
        packed = member.unused_data or file.read(_PIECE)


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with unpacker.stream_reader(file, read_across_frames=True, closefd=False) as reader:
        while True:
            try:
                piece = reader.read(_PIECE)
            except zstandard.ZstdError as error:
                raise PullFailed(Code.IMAGE_INVALID, "a layer is not a zstd stream") from error
            if not piece:
                return
            yield piece
