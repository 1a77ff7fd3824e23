"""What a Dockerfile starts from. Only buildah reads the rest."""

import re
import shlex
from collections.abc import Iterator

# Directives stand in front of everything else, each on a line of its own.
_DIRECTIVE = re.compile(r"#\s*([a-z][a-z0-9]*)\s*=\s*(\S+)\s*", re.I)
_ENDS_OPEN = {escape: re.compile(re.escape(escape) + r"[ \t]*$") for escape in "\\`"}
# What names an image otherwise than by its registry, in the words of buildah's library: files of the machine, and the layers of others.
_TRANSPORT = "atomic|containers-storage|dir|docker|docker-archive|docker-daemon|oci|oci-archive|ostree|sif|tarball"
_FOREIGN = re.compile(rf"(?:\bFROM\s+(?:--\S+\s+)*|--from=)(?:{_TRANSPORT}):", re.I)
_COPY_FROM = re.compile(r"--from=(\S+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_SCRATCH = "scratch"
# What joins two lines, with the comments between them; and what may stand within a word without being part of it.
_JOINT = re.compile(r"[\\`][ \t]*\r?\n(?:[ \t]*#[^\n]*\n|[ \t]*\r?\n)*[ \t]*")
_MARKS = re.compile(r"[\\`\"']")


def bases(text: str) -> list[str]:
    """Return the images that FROM lines name, in order, without stages of the file itself."""
    return _images(text)[0]


def copied(text: str) -> list[str]:
    """Return the images that COPY --from names and that FROM lines do not."""
    return _images(text)[1]


def mounts(text: str) -> bool:
    """Tell whether a step may ask for a mount: `--mount`, however it is written. Says so of some that do not."""
    return "--mount" in _MARKS.sub("", _JOINT.sub("", text))


def foreign(text: str) -> bool:
    """Tell whether something of it may name an image that is at no registry, however it is written."""
    whole = _MARKS.sub("", text), _MARKS.sub("", _JOINT.sub("", text))
    return any(_FOREIGN.search(one) for one in whole)


def _images(text: str) -> tuple[list[str], list[str]]:
    arguments: dict[str, str] = {}
    stages: list[str] = []
    named: list[str] = []
    others: list[str] = []
    count = 0
    for word, rest in instructions(text):
        if word == "ARG" and not count:
            arguments |= _defaults(rest)
        elif word == "FROM":
            parts = [p for p in rest.split() if not p.startswith("--")]
            if not parts:
                continue
            image = _expanded(parts[0].strip("\"'"), arguments)
            if image.lower() not in stages and image != _SCRATCH and image:
                named.append(image)
            if len(parts) == 3 and parts[1].upper() == "AS":
                stages.append(parts[2].lower())
            count += 1
        elif word == "COPY" and (found := _COPY_FROM.search(rest)):
            source = found[1]
            if source.lower() not in stages and not (source.isdigit() and int(source) < count):
                others.append(source)
    return list(dict.fromkeys(named)), [o for o in dict.fromkeys(others) if o not in named]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction, its word in upper case, with its lines joined and comments left out."""
    lines = text.split("\n")
    open_end = _ENDS_OPEN[_escape(lines)]
    pending = ""
    for line in lines:
        bare = line.strip()
        if bare.startswith("#") or (pending and not bare):
            continue
        # Nothing comes between what two lines have of one word.
        pending += line.rstrip("\r")
        if open_end.search(pending):
            pending = open_end.sub("", pending)
            continue
        yield from _instruction(pending)
        pending = ""
    yield from _instruction(pending)


def _escape(lines: list[str]) -> str:
    """Return what a line ends with that goes on in the next one, as a directive says."""
    for line in lines:
        if not (found := _DIRECTIVE.fullmatch(line.strip())):
            break
        if found[1].lower() == "escape" and found[2] in _ENDS_OPEN:
            return found[2]
    return "\\"


def _instruction(whole: str) -> Iterator[tuple[str, str]]:
    if words := whole.split(maxsplit=1):
        yield words[0].upper(), words[1].strip() if len(words) > 1 else ""


def _defaults(rest: str) -> dict[str, str]:
    try:
        words = shlex.split(rest)
    except ValueError:
        return {}
    return {name: value for name, is_, value in (word.partition("=") for word in words) if is_}


def _expanded(text: str, arguments: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        given = arguments.get(found[1] or found[4], "")
        if found[2] == "-":
            return given or found[3]
        if found[2] == "+":
            return found[3] if given else ""
        return given

    return _VARIABLE.sub(value, text)
