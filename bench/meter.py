"""What loads cost: CPU of a whole system per request, the yardstick before and after every run."""

from dataclasses import dataclass
from statistics import median

from bench import usage
from bench.load import Load, send
from bench.system import System
from bench.table import Figure
from bench.yardstick import slowness


@dataclass(frozen=True)
class Cost:
    """CPU ms per request, medians; `parts` of the last run."""

    measured: float
    scaled: float
    parts: str

    def figure(self, name: str, target: float | None, note: str) -> Figure:
        return Figure(name, self.measured, "ms CPU", target, note=note, scaled=self.scaled)


class Meter:
    """Measures loads, the yardstick before and after every run."""

    def __init__(self, system: System) -> None:
        self._root = system.root()

    def cost(self, load: Load, runs: int) -> Cost:
        """Run the load so often, after a quarter of it to warm up."""
        once = Load(**{f: getattr(load, f) for f in load.__struct_fields__})
        once.requests = max(load.requests // 4, 50)
        send(once)
        first = load.first + once.requests
        measured, scaled, parts = [], [], ""
        for _ in range(runs):
            once.first, once.requests = first, load.requests
            first += load.requests
            slow = slowness()
            before, by_command = usage.cpu_seconds(self._root), usage.by_command(self._root)
            report = send(once)
            spent = (usage.cpu_seconds(self._root) - before) * 1000 / load.requests
            parts = _parts(by_command, usage.by_command(self._root), load.requests)
            parts += f"; {load.requests / report.seconds:.0f}/s"
            slow = (slow + slowness()) / 2
            measured.append(spent)
            scaled.append(spent / slow)
        load.first = first
        return Cost(median(measured), median(scaled), parts)


def _parts(before: dict[str, float], after: dict[str, float], requests: int) -> str:
    short = {name: name.removeprefix("services.").removesuffix(" serve") for name in after}
    spent = {short[n]: (after[n] - before.get(n, 0.0)) * 1000 / requests for n in after}
    return " ".join(f"{n} {ms:.2f}" for n, ms in spent.items() if ms >= 0.01)
