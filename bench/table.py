"""Figures with targets: printed as a table, written as JSON."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured value. `target` None: shown for information. Smaller is better unless `at_least`.

    `scaled` is the value at the speed of the reference machine, by the yardstick that ran beside it.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""
    scaled: float | None = None

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met: at the reference's speed where that is known, else as measured."""
        if self.target is None:
            return None
        value = self.value if self.scaled is None else self.scaled
        return value >= self.target if self.at_least else value <= self.target


def render(title: str, figures: list[Figure]) -> str:
    """Return the table; what falls short of its target is marked."""
    width = max(len(f.name) for f in figures)
    lines = [title, "-" * len(title)]
    for f in figures:
        sign = "≥" if f.at_least else "≤"
        target = "" if f.target is None else f"{sign} {f.target:g}"
        verdict = {None: "", True: "met", False: "SHORT"}[f.met]
        scaled = "" if f.scaled is None else f"scaled {f.scaled:.2f}"
        value = f"{f.value:>10.2f} {f.unit:<8} {scaled:<14}"
        lines.append(f"{f.name:<{width}}  {value} {target:>10}  {verdict:<6} {f.note}".rstrip())
    return "\n".join(lines)


def write(name: str, figures: list[Figure]) -> Path:
    """Write the figures as JSON and return where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    rows = [{**asdict(f), "met": f.met} for f in figures]
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"at": stamp, "figures": rows}, indent=2) + "\n")
    return path
