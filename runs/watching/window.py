"""The viewer's window: keys, speed, pause."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rl.errors import InputError, RunError
from runs.folder.processes import trainer_has_ended
from runs.watching.camera import GLIDE
from runs.watching.film import frames_per_second
from runs.watching.player import Player
from runs.watching.video import VideoWriter

if TYPE_CHECKING:
    from envs.drawing import Window


END = 0.8
"""Seconds for which a window shows the end of a game."""

AT_REST = 1.0
"""Seconds between two frames of a window that is paused and where nothing happens."""


def show_window(player: Player, episodes: int | None, size: tuple[int, int], paused: bool = False) -> None:
    """Plays in a window until it is closed, or until `episodes` games are over."""
    from envs.drawing import Window

    with Window(f"rl watch {player.run.env}", *size) as window:
        desk = Desk(player, window)
        desk.paused = paused
        for _ in desk.frames():
            if episodes is not None and len(player.finished) >= episodes:
                break


class Desk:
    """The viewer's controls: keys in, frames out."""

    def __init__(self, player: Player, window: Window) -> None:
        self.player, self.window = player, window
        self.speed = 1.0
        self.paused = self.help = False
        self.panels = True
        self.human = False
        self.note = ""
        self._note_until = 0.0
        self._recorder: VideoWriter | None = None
        self._once = self._paused_before = False
        self._tapped: set[str] = set()
        self._moved = self._drawn = -math.inf
        """When the newest step was made, and the newest frame drawn."""
        self._typed = False

    def frames(self) -> Iterator[int]:
        """One turn for each frame that is shown, until the window closes."""
        due = time.perf_counter()
        count = 0
        try:
            while self._keys() and not trainer_has_ended():
                now = time.perf_counter()
                period = 1.0 / (frames_per_second(self.player) * self.speed)
                if self._still(now):
                    time.sleep(1 / 60)
                    yield count
                    continue
                if self.paused and not self._once:
                    due = now + period
                elif self._once:
                    self._advance()
                    self._once = False
                else:
                    until = now + 0.012  # then it is time for a frame, however fast the game is to go
                    while now >= due and now < until:
                        self._advance()
                        due = max(due + period, now - 5 * period) if math.isfinite(self.speed) else now
                        if self.player.ts.last[0] and self.speed <= 2:
                            due = now + END / self.speed
                        now = time.perf_counter()
                self._frame(period)
                count += 1
                yield count
                if math.isfinite(self.speed) and not self.paused and not self.player.camera.gliding:
                    rest = due - time.perf_counter()
                    if rest > 1 / 60:
                        time.sleep(min(rest, 1 / 30) - 1 / 120)
        finally:
            self._stop_recording()

    def _still(self, now: float) -> bool:
        """Whether a paused window may stay as it is: a watcher at rest costs the training beside it nothing."""
        busy = self._typed or self._once or self.player.camera.gliding or self._recorder is not None
        return self.paused and not busy and now - self._drawn < AT_REST

    def _advance(self) -> None:
        player = self.player
        self._moved = time.perf_counter()
        player.human = None
        if self.human and player.controls is not None:
            player.human = player.controls.action(self.window.held | self._tapped, player.thoughts[0].action)
            self._tapped.clear()
        if player.refresh():
            self._say(player.follower.note if player.follower else "")
        player.step()

    def _frame(self, period: float) -> None:
        """Draws the newest row, or where there is time for it the way there, `period` seconds long."""
        from runs.watching.frame import draw_grid, draw_view

        player, canvas = self.player, self.window.canvas
        self._drawn = time.perf_counter()
        way = period * (GLIDE if self.human else 1.0)
        player.fetch((self._drawn - self._moved) / way if way > 1 / 30 else 1.0)
        views = [player.view(i) for i in range(player.num_envs)]
        for view in views:
            view.speed, view.paused, view.panels, view.help = self.speed, self.paused, self.panels, self.help
            view.recording, view.human = self._recorder is not None, self.human
            view.note = self.note if time.perf_counter() < self._note_until else ""
        if len(views) == 1:
            draw_view(canvas, views[0])
        else:
            draw_grid(canvas, views)
        if self._recorder is not None:
            try:
                self._recorder.write(canvas.array())
            except InputError:
                self._stop_recording()
                self._say("the window changed its size: recording stopped")
        self.window.show(fps=60)

    def _keys(self) -> bool:
        """Handles what was typed. False when the window was closed."""
        events = self.window.events()
        self._typed = bool(events)
        for event in events:
            if event.kind == "close":
                return False
            if event.kind == "press" and not self._press(event.key):
                return False
        return True

    def _press(self, key: str) -> bool:
        from runs.watching.views import SPEEDS

        player = self.player
        if self.human and player.controls is not None and key in player.controls.keys:
            self._tapped.add(key)  # a tap between two steps still counts
            return True
        match key:
            case "q" | "escape":
                return False
            case "space":
                self.paused = not self.paused
            case "right" | "n" | ".":
                self._once = self.paused
            case "+" | "=" | "[+]" | "up":
                self.speed = SPEEDS[min(SPEEDS.index(self.speed) + 1, len(SPEEDS) - 1)]
            case "-" | "[-]" | "down":
                self.speed = SPEEDS[max(SPEEDS.index(self.speed) - 1, 0)]
            case "return" | "enter":
                player.restart()
            case "g":
                player.sampled = not player.sampled
            case "p":
                self.panels = not self.panels
            case "h" | "?":
                if not self.help:
                    self._paused_before = self.paused
                self.help = not self.help
                self.paused = self.help or self._paused_before
            case "v":
                self._saliency()
            case "t":
                player.show_table = not player.show_table
            case "tab":
                self._hand_over()
            case "s" | "r":
                try:
                    self._screenshot() if key == "s" else self._record()
                except (InputError, RunError, OSError) as error:  # a read-only folder, a full disk
                    self._say(str(error))
        return True

    def _saliency(self) -> None:
        player = self.player
        if not player.can_show_saliency():
            self._say(f"{player.run.env} shows the agent numbers: they have no place on the picture")
            return
        player.show_saliency, player.heat = not player.show_saliency, None
        self._say("saliency: what the choice depends on" if player.show_saliency else "saliency off")

    def _hand_over(self) -> None:
        if self.player.controls is None:
            self._say(f"{self.player.run.env} has actions that keys cannot choose")
            return
        self.human = not self.human
        keys = ", ".join(f"{k}: {a}" for k, a in self.player.controls.legend()[:5])
        self._say(f"you play ({keys}); TAB hands back" if self.human else "the agent plays")

    def _say(self, words: str, seconds: float = 3.0) -> None:
        self.note, self._note_until = words, time.perf_counter() + seconds

    def _file(self, ending: str) -> Path:
        folder = self.player.folder / "videos"
        folder.mkdir(parents=True, exist_ok=True)
        name = self.player.run.env.replace("/", "-").replace(":", "-")
        return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}{ending}"

    def _screenshot(self) -> None:
        path = self._file(".png")
        self.window.canvas.save(path)
        self._saved(path)

    def _saved(self, path: Path) -> None:
        """Names a finished file in the window and in the terminal."""
        self._say(f"saved {path}")
        print(f"saved {path}", file=sys.stderr, flush=True)

    def _record(self) -> None:
        if self._recorder is not None:
            self._stop_recording()
            return
        self._recorder = VideoWriter(self._file(".webm"), 60)
        self._say("recording; R stops")

    def _stop_recording(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            if recorder.frames:
                self._saved(recorder.close())
            else:
                recorder.discard()
