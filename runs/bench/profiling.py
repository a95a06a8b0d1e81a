"""`rl profile`: where the time of a training goes, by a clock that looks at the Python stack every few milliseconds.

The clock is a signal, whose handler runs in the training's own thread between two bytecodes, so that a long call into
PyTorch, NumPy or an emulator counts for the line that made it. Without such signals (Windows, another thread than the
main one) a second thread looks. Neither touches the training: its weights stay the same bit for bit (tested).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import torch

from rl.errors import InputError
from rl.storage import write_atomic
from runs.bench.parts import PARTS, Stack, counted_operations, part_of, stack_of, tree
from runs.folder.provenance import machine
from runs.folder.run_folder import default_name
from runs.folder.trust import Trust
from runs.recipe import resolve
from runs.reporting.charts import line_chart
from runs.reporting.page import Chart, Page, Table
from runs.training.session import Turn
from runs.training.train import session

INTERVAL = 0.004
"""Seconds between two looks at the stack."""
SECONDS = 20.0
"""Length of the measurement if no number of steps is given."""
MEMORY_EVERY = 0.1
"""Seconds between two readings of the memory."""


class Clock:
    """Adds the time since its last look to the stack that it finds."""

    def __init__(self) -> None:
        self.wall: defaultdict[Stack, float] = defaultdict(float)
        self.cpu: defaultdict[Stack, float] = defaultdict(float)
        """Processor seconds of all threads of the process, which other programs on the machine hardly change."""
        self.memory: list[tuple[float, float]] = []
        """(seconds, bytes) of the process."""
        self.looks, self.cost = 0, 0.0
        """How often it looked, and the CPU seconds that this took."""
        self._begun = self._last = self._last_cpu = 0.0
        self._process = psutil.Process()

    def look(self, frame: FrameType | None) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        stack = stack_of(frame)
        if stack is not None:
            self.wall[stack] += now - self._last
            self.cpu[stack] += cpu - self._last_cpu
        if not self.memory or now - self._begun - self.memory[-1][0] > MEMORY_EVERY:
            self.memory.append((now - self._begun, float(self._process.memory_info().rss)))
        self.looks += 1
        self._last, self._last_cpu = time.perf_counter(), time.process_time()
        self.cost += self._last_cpu - cpu

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Looks every `INTERVAL` while the body runs, in the thread that called it."""
        self._begun = self._last = time.perf_counter()
        self._last_cpu = time.process_time()
        own = threading.current_thread() is threading.main_thread() and sys.platform != "win32"
        with self._by_signal() if own else self._by_thread():
            yield

    @contextlib.contextmanager
    def _by_signal(self) -> Iterator[None]:
        if sys.platform == "win32":
            raise AssertionError("Windows has no interval timer")
        over = False

        def look(_: int, frame: FrameType | None) -> None:
            self.look(frame)
            if not over:  # set anew each time: a look is never interrupted by the next one
                signal.setitimer(signal.ITIMER_REAL, INTERVAL)

        before = signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL)
        try:
            yield
        finally:
            over = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    @contextlib.contextmanager
    def _by_thread(self) -> Iterator[None]:
        watched, over = threading.get_ident(), threading.Event()

        def watch() -> None:
            while not over.wait(INTERVAL):
                self.look(sys._current_frames().get(watched))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def measured(turns: Generator[Turn, None, dict[str, Any]], steps: int | None) -> dict[str, Any]:
    """The profile of a training that has not begun: it is stopped `steps` steps after its first update.

    The operations of one round (up to the second update) are counted first, then the clock runs from update to update.
    """
    clock = Clock()
    turn = next(turns)
    starts = getattr(turn.agent.config, "learning_starts", 0)
    turn = _take(turns, turn, lambda t: t.session.agent.updates > 0 or t.step > starts + 10_000)
    rate = matmul_rate(_precision(turn))
    counted: dict[str, float] = {}
    before = (turn.step, turn.agent.updates)
    if turn.agent.device.type == "cpu":
        with counted_operations() as counted:
            turn = _take(turns, turn, lambda t: t.session.agent.updates > before[1] or t.step > before[0] + 10_000)
    rounds = (turn.step - before[0], turn.agent.updates - before[1])
    begun, cpu, first, made = time.perf_counter(), time.process_time(), turn.step, turn.agent.updates

    def enough(t: Turn) -> bool:
        far = t.step - first >= steps if steps else time.perf_counter() - begun >= SECONDS
        return far and (t.session.agent.updates > updates or not rounds[1])

    updates = made
    with clock.running():
        for turn in turns:
            if enough(turn):
                break
            updates = turn.session.agent.updates
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    agent, threads = turn.agent, torch.get_num_threads()
    found = {"steps": turn.step - first, "updates": agent.updates - made}
    turn.stop()
    for _ in turns:
        pass
    operations = {
        part: count * (found["updates"] / rounds[1] if part != "acting" and rounds[1] else found["steps"] / rounds[0])
        for part, count in counted.items()
    }
    return {
        **found,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "steps_per_second": round(found["steps"] / seconds, 1),
        "parts": _parts(clock, operations, rate),
        "limit_gflops": round(rate / 1e9, 1),
        "precision": _precision(turn),
        "threads": threads,
        "looks": clock.looks,
        "overhead": round(clock.cost / max(cpu, 1e-9), 4),
        "memory_bytes": {"first": clock.memory[0][1], "last": clock.memory[-1][1]} if clock.memory else {},
        "flame": tree(clock.wall),
        "memory": clock.memory,
    }


def _take(turns: Iterator[Turn], turn: Turn, until: Callable[[Turn], bool]) -> Turn:
    """Trains on until that holds after a row."""
    if until(turn):
        return turn
    for turn in turns:
        if until(turn):
            return turn
    raise InputError(f"the training ended after {turn.step:,} steps, before anything was measured: give more --steps")


def _parts(clock: Clock, operations: dict[str, float], rate: float) -> list[dict[str, Any]]:
    """Shares of each part, and what share of the arithmetic that is possible in its processor time it makes."""
    wall, cpu = (dict.fromkeys(PARTS, 0.0) for _ in range(2))
    for stack in clock.wall:
        part = part_of(stack)
        wall[part] += clock.wall[stack]
        cpu[part] += clock.cpu[stack]
    rates = {part: operations.get(part, 0.0) / cpu[part] for part in PARTS if cpu[part] > 0}
    return [
        {
            "part": part,
            "share": round(wall[part] / (sum(wall.values()) or 1.0), 4),
            "cpu_share": round(cpu[part] / (sum(cpu.values()) or 1.0), 4),
            "cpu_seconds": round(cpu[part], 4),
            "gflops": round(rates[part] / 1e9, 3) if rates.get(part) else None,
            "of_limit": round(rates[part] / rate, 4) if rates.get(part) else None,
        }
        for part in PARTS
    ]


def _precision(turn: Turn) -> str:
    return str(turn.agent.choices().get("precision", "fp32"))


def matmul_rate(precision: str, size: int = 768, repeats: int = 12) -> float:
    """Floating-point operations in a second of a core, by PyTorch's product of two matrices; the best of some."""
    a = torch.ones(size, size, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        a @ a
        best = min(best, time.process_time() - begun)
    return 2 * size**3 / best


def profile(
    recipe: str,
    *,
    agent: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    num_envs: int | None = None,
    settings: Sequence[str] = (),
    out: str | Path | None = None,
    device: str = "auto",
    trust: Trust = False,
) -> dict[str, Any]:
    """Trains a recipe for a while in a temporary folder and returns where its time went; writes the page.

    steps: how many steps are measured, after the first update; without it about 20 seconds.
    out: the page's file, by default `runs/out/<env>_<agent>_s<seed>_<time>.profile.html`.
    Evaluations and saves are left out. Raises InputError as `train` does.
    """
    run = resolve(recipe, agent=agent, seed=seed, num_envs=num_envs, settings=settings, trust=trust)
    run = dataclasses.replace(run, eval_every=0, save_every=0, snapshots=0, video_every=0, eval_episodes=1)
    run = dataclasses.replace(run, eval_max_steps=1)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        found = measured(session(run, out=Path(folder) / "run", device=device), steps)
    named = {"recipe": str(recipe), "env": run.env, "agent": run.agent.name, "num_envs": run.num_envs}
    found = {"schema": 1, **named, **found, "machine": {**machine(), "load": load}}
    path = _place(run) if out is None else Path(out)
    flame, memory = found.pop("flame"), found.pop("memory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _page(found, flame, memory).render("html").encode())
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error.strerror}; name another file") from error
    return {**found, "html": str(path)}


def _place(run: Any) -> Path:
    from runs.folder.places import OUT

    return OUT / f"{default_name(run.env, run.agent.name, run.seed)}.profile.html"


def _page(found: dict[str, Any], flame: list[dict[str, Any]], memory: list[tuple[float, float]]) -> Page:
    columns = ["part", "time", "processor", "processor ms a step", "GFLOP/s", "of the limit"]
    rows = [row for row in cells(found) if row[1] != "0.0%"]
    table = Table(columns, rows)
    xs, ys = [s for s, _ in memory], [b / 1e6 for _, b in memory]
    series = [{"name": "memory", "colour": 0, "x": xs, "middle": ys}]
    numbers = Table(
        ["seconds", "MB"], [[f"{x:.1f}", f"{y:.0f}"] for x, y in zip(xs, ys, strict=True)][:: max(1, len(xs) // 20)]
    )
    chart = Chart("Memory of the process, MB", line_chart("memory", series, "seconds", "MB", clock=True), numbers)
    depth = max((bar["depth"] for bar in flame), default=0) + 1
    values = {"table": table, "flame": flame, "depth": depth, "chart": chart, "words": words(found)}
    title = f"Where the time goes: {found['recipe']}"
    top = max(found["parts"], key=lambda p: p["share"])
    verdict = f"{found['steps_per_second']:,.0f} steps a second; {top['part']} takes {top['share']:.0%} of the time."
    return Page(title, verdict, {"kind": "profile", **found}, "profile.jinja", values)


def cells(found: dict[str, Any]) -> list[list[str]]:
    """The table's rows: shares of time and processor time, ms a step, GFLOP/s and their share of the limit."""
    return [
        [
            p["part"],
            f"{p['share']:.1%}",
            f"{p['cpu_share']:.1%}",
            f"{1000 * p['cpu_seconds'] / found['steps']:.3g}",
            "" if p["gflops"] is None else f"{p['gflops']:.3g}",
            "" if p["of_limit"] is None else f"{p['of_limit']:.0%}",
        ]
        for p in found["parts"]
    ]


def words(found: dict[str, Any]) -> str:
    """How it was measured, in a few sentences."""
    m = found["machine"]
    load = "" if m["load"] is None else f", load {m['load']:.1f} before it began"
    return (
        f"{found['steps']:,} steps with {found['updates']:,} updates in {found['seconds']:.1f} s, with "
        f"{found['cpu_seconds']:.1f} s of processor time; "
        f"{found['num_envs']} environment{'s' * (found['num_envs'] > 1)}, on {m['processor']} ({m['cores']} cores"
        f"{load}), {found['threads']} thread{'s' * (found['threads'] > 1)} of PyTorch. Operations are those of "
        f"matrix products and convolutions in a second of a core; their limit, a large matrix product in "
        f"{found['precision']} on the spot, is {found['limit_gflops']:,.0f} GFLOP/s. "
        f"{found['looks']:,} looks at the stack cost {found['overhead']:.1%} of "
        "the processor time."
    )


def lines(found: dict[str, Any]) -> list[str]:
    """The result for a terminal."""
    rows = [["part", "time", "processor", "ms a step", "GFLOP/s", "of limit"], *cells(found)]
    width = [max(len(row[k]) for row in rows) for k in range(6)]
    table = [
        "  ".join(
            [row[0].ljust(width[0]), *(cell.rjust(w) for cell, w in zip(row[1:], width[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
    return [*table, words(found), f"page: {found['html']}"]
