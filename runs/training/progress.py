"""The progress of a training: a bar on a terminal or in a notebook, else a plain line every ten seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from html import escape
from types import TracebackType
from typing import Any


class NotebookBar:
    """A bar in the output of a notebook's cell, drawn anew at most four times a second."""

    def __init__(self, total: int, start: int) -> None:
        from IPython.display import HTML, display

        self._html, self._total = HTML, total
        self._fields: dict[str, Any] = {"completed": start, "speed": "-", "latest": ""}
        self._handle = display(HTML(""), display_id=True)
        self._shown = 0.0

    def update(self, task: Any, **fields: Any) -> None:
        self._fields |= fields
        if time.monotonic() - self._shown > 0.25:
            self._draw()

    def stop(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._shown = time.monotonic()
        done, words = self._fields["completed"], f"{self._fields['speed']} steps/s, {escape(self._fields['latest'])}"
        bar = f'<progress value="{done}" max="{self._total}" style="width:40%"></progress>'
        if self._handle is not None:
            self._handle.update(self._html(f"{bar} {done:,} of {self._total:,} steps, {words}"))


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return "ipykernel" in sys.modules and ipython is not None and ipython.get_ipython() is not None


class Progress:
    """Shows steps, speed, time left and the latest result on standard error."""

    every_seconds = 10.0
    """Between two plain lines."""

    def __init__(self, total: int, start: int = 0, *, quiet: bool = False) -> None:
        self.total, self.start, self.quiet = total, start, quiet
        self._bar: Any = None
        self._task: Any = None
        self._begun = self._shown = time.perf_counter()
        self._last = start

    def __enter__(self) -> Progress:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                MofNCompleteColumn(),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[speed]} steps/s"),
                TextColumn("{task.fields[latest]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total, completed=self.start, speed="-", latest="")
        elif not self.quiet and in_notebook():
            self._bar = NotebookBar(self.total, self.start)
        return self

    def update(self, step: int, latest: str) -> None:
        """Shows `step` and the `latest` result in words; plain lines at most every `every_seconds`, and at the end."""
        if self.quiet:
            return
        now = time.perf_counter()
        speed = (step - self.start) / max(now - self._begun, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, speed=f"{speed:,.0f}", latest=latest)
        elif now - self._shown >= self.every_seconds or (step >= self.total and step != self._last):
            self._shown, self._last = now, step
            left = (self.total - step) / max(speed, 1e-9)
            line = f"{step:,} of {self.total:,} steps, {speed:,.0f} steps/s, {left:,.0f} s left, {latest}"
            print(line, file=sys.stderr, flush=True)

    def tell(self, what: str) -> None:
        """Shows what happens beside training, such as a long evaluation; plain lines come as seldom as in `update`."""
        if self.quiet:
            return
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.update(self._task, latest=what)
        elif now - self._shown >= self.every_seconds:
            self._shown = now
            print(what, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone: that is why the training ends
                self._bar.stop()
