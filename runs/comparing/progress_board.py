"""The terminal's table of a comparison that is running."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runs.comparing.plan import Plan, Side
from runs.reporting.wording import number


class Board:
    """A live table on a terminal, a line for each training elsewhere, nothing where quiet."""

    def __init__(
        self,
        plan: Plan,
        results: Mapping[tuple[str, str, int], dict[str, Any]],
        seeds_of: Callable[[Side], Sequence[int]],
        total: int,
        quiet: bool,
    ) -> None:
        self.plan, self.results, self.seeds_of = plan, results, seeds_of
        self.total, self.quiet = total, quiet
        self.plain = quiet or not sys.stderr.isatty()
        self.done, self.begun = 0, time.monotonic()
        self._live: Any = None

    def __enter__(self) -> Board:
        if not self.plain:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=1)
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, running: Any) -> None:
        if self._live is not None:
            self._live.update(self._table(list(running)))

    def finished(self, side: Side, seed: int, result: dict[str, Any]) -> None:
        self.done += 1
        if self.quiet:
            return
        score = number(result["score"]) if result["status"] == "ok" else f"failed: {result['error']}"
        took = f", {result['wall']:.0f} s" if result.get("wall") else ""
        line = f"[{self.done}/{self.total}] {side.contender.text} on {side.task.env}, seed {seed}: {score}{took}"
        if self._live is not None:
            self._live.console.print(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _table(self, running: list[tuple[Side, int]]) -> Any:
        from rich.table import Table as RichTable

        left = (time.monotonic() - self.begun) / max(self.done, 1) * (self.total - self.done)
        title = f"{self.done} of {self.total} trainings" + (f", about {left / 60:.0f} min left" if self.done else "")
        table = RichTable(title=title)
        for column in ("contender", "task", "seeds", "mean so far", "running"):
            table.add_column(column)
        for side in self.plan.sides:
            mine = [r for (c, e, _), r in self.results.items() if (c, e) == (side.contender.text, side.task.env)]
            good = [r["score"] for r in mine if r["status"] == "ok"]
            now = ", ".join(f"seed {seed}" for s, seed in running if s is side)
            mean = number(sum(good) / len(good)) if good else ""
            failed = f" ({len(mine) - len(good)} failed)" if len(mine) > len(good) else ""
            count = f"{len(mine)} of {len(self.seeds_of(side))}{failed}"
            table.add_row(side.contender.text, side.task.env, count, mean, now)
        return table
