"""`rl play GAME --vs PLAYER` in a window: the board, what the opponent saw, and the replay of a record."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from envs import drawing
from envs.boards.game import Game
from envs.boards.picture import board_place, draw
from envs.boards.scene import plies
from envs.drawing import Canvas, Window, require_display
from rl.errors import InputError
from runs.comparing.league.players import Thoughts
from runs.folder.trust import Trust
from runs.watching.board_game import BoardGame, bars, movers_of, read_record
from runs.watching.frame import draw_help, draw_note, unit_of

SIZE = (960, 640)
FALL = 0.35
"""Seconds in which a stone is set down."""
PAUSE = 0.45
"""Seconds after the person's move before the opponent answers."""
NO_DISPLAY = "play in the terminal with --text"
KEYS = (
    ("1-7", "column of Connect Four"),
    ("ARROWS  ENTER", "choose a cell, play; or click"),
    ("U", "take back your move"),
    ("H", "hints on or off"),
    ("P", "the scores of perfect play"),
    ("+  -", "stronger, weaker"),
    ("N", "new game"),
    ("X", "new game from the other side"),
    ("F1", "these keys"),
    ("ESC", "quit; the game is saved"),
)


class BoardTable:
    """The loop of one window: keys and clicks to moves, the opponent's replies, and the panel beside the board."""

    def __init__(self, match: BoardGame, window: Window, folder: Path | None = None) -> None:
        self.match, self.window, self.folder = match, window, folder
        self.hints = self.help = False
        self.cursor = (match.game.board.width // 2, match.game.board.height // 2)
        self.shown: Thoughts = {}
        self.title = self.line = ""
        self.results: list[str] = []
        self.records: list[str] = []
        self._before: np.void | None = None
        """The position before the latest move, for its animation."""
        self._moved = 0.0
        self._note, self._until = "F1: keys", time.perf_counter() + 4
        self._counted = False

    def run(self) -> None:
        """Until the window is closed."""
        while self.events():
            if not self.match.over and not self.match.your_turn and time.perf_counter() - self._moved > PAUSE:
                self.reply()
            self.draw(self.window.canvas, min(1.0, (time.perf_counter() - self._moved) / FALL))
            self.window.show(fps=60)
        self.save()

    def events(self) -> bool:
        """Handles what was typed and clicked. False when the person leaves."""
        for event in self.window.events():
            if event.kind == "close" or (event.kind == "press" and event.key == "escape"):
                return False
            if event.kind == "press":
                self.press(event.key)
            elif event.kind == "click" and (cell := self.cell_at(event.x, event.y)) is not None:
                self.cursor = cell
                self.press("return")
        return True

    def press(self, key: str) -> None:
        match = self.match
        dx, dy = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}.get(key, (0, 0))
        self.cursor = (self.cursor[0] + dx) % match.game.board.width, (self.cursor[1] + dy) % match.game.board.height
        try:
            if key in ("return", "space"):
                self.move(self.action_here())
            elif key.isdigit() and match.game.name == "ConnectFour":
                self.move(int(key) - 1)
            elif key == "p":
                self.shown, self.title, self.line = match.perfect(), "perfect play", ""
        except InputError as error:
            self.say(str(error))
        match key:
            case "u":
                self.undo()
            case "h":
                self.hints = not self.hints
                self.refresh_hint()
            case "+" | "=" | "-" | "[+]" | "[-]":
                changed = match.stronger(-1 if "-" in key else 1)
                self.say(f"against {match.opponent.name}" + ("" if changed else ": there is no other level"))
            case "n" | "x":
                self.save()
                match.new(match.seat if key == "n" else 1 - match.seat)
                self._before, self._counted, self.shown = None, False, {}
                self.refresh_hint()
            case "f1":
                self.help = not self.help

    def action_here(self) -> int:
        """The action of the cursor's cell; a pass if nothing else is legal."""
        board = self.match.game.board
        legal = np.flatnonzero(self.match.game.legal()[0])
        if board.passes and len(legal) == 1 and legal[0] == board.actions - 1:
            return board.actions - 1
        return self.cursor[0] if board.NAME == "ConnectFour" else self.cursor[1] * board.width + self.cursor[0]

    def move(self, action: int) -> None:
        if self.match.over or not self.match.your_turn:
            return
        before = self.match.game.rows[0].copy()
        self.match.play(action)
        self._settle(before)
        self.shown = {}

    def reply(self) -> None:
        before = self.match.game.rows[0].copy()
        self.match.reply()
        self._settle(before)
        self.shown, self.title, self.line = self.match.seen, f"{self.match.opponent.name} saw", self.match.line
        self.refresh_hint()

    def undo(self) -> None:
        if not self.match.undo():
            self.say("there is no move of yours to take back")
            return
        self._before, self._counted, self.shown = None, False, {}
        self.refresh_hint()

    def refresh_hint(self) -> None:
        if self.hints and self.match.your_turn:
            self.shown, self.title = self.match.hint(), f"{self.match.opponent.name} would see"
            self.line = self.match.line

    def _settle(self, before: np.void) -> None:
        self._before, self._moved = before, time.perf_counter()
        if self.match.over and not self._counted:
            self.results.append(self.match.result())
            self.save()
            self._counted = True

    def save(self) -> None:
        """Saves the game, once."""
        if not self._counted and (path := self.match.save(self.folder)) is not None:
            self.records.append(str(path))
            self.say(f"saved: {path}")

    def say(self, words: str, seconds: float = 4.0) -> None:
        self._note, self._until = words, time.perf_counter() + seconds

    # drawing

    def panel(self, canvas: Canvas) -> float:
        """Width of the panel beside the board, in pixels."""
        return max(unit_of(canvas) * 15, canvas.width * 0.34)

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """The cell under a point of the window."""
        canvas, board = self.window.canvas, self.match.game.board
        place = board_place(round(canvas.width - self.panel(canvas)), canvas.height, (board.width, board.height))
        column, row = int((x - place.left) // place.cell), int((y - place.top) // place.cell)
        inside = 0 <= column < board.width and (0 <= row < board.height or board.NAME == "ConnectFour")
        return (column, min(max(row, 0), board.height - 1)) if inside else None

    def draw(self, canvas: Canvas, part: float = 1.0) -> None:
        """Paints the whole frame; below 1, the latest stone is that far on its way."""
        match, side, unit = self.match, self.panel(canvas), unit_of(canvas)
        table = canvas.part(0, 0, canvas.width - side, canvas.height)
        scenes = plies(match.game.name, match.game.rows[0], self._before)
        draw(table, scenes[-1], part)
        if match.your_turn:
            place = board_place(table.width, table.height, (match.game.board.width, match.game.board.height))
            column, row = self.cursor
            falls = match.game.name == "ConnectFour"
            top, high = (place.top, place.cell * match.game.board.height) if falls else (0.0, place.cell)
            y = top if falls else place.top + row * place.cell
            table.frame(place.left + column * place.cell, y, place.cell, high, drawing.GREEN, place.cell * 0.1, 2)
        self._panel(canvas.part(canvas.width - side, 0, side, canvas.height), unit)
        if time.perf_counter() < self._until:
            draw_note(table, self._note, unit)
        if self.help:
            draw_help(canvas, KEYS, unit)

    def _panel(self, canvas: Canvas, unit: float) -> None:
        match, left = self.match, unit
        canvas.fill(drawing.PANEL)
        names = match.names
        canvas.text(f"{names[0]} : {names[1]}", left, unit * 1.6, unit * 1.1, drawing.TEXT)
        level = f"level {match.level + 1} of {len(match.levels)}" if len(match.levels) > 1 else ""
        canvas.text(level, left, unit * 3.0, unit * 0.85, drawing.MUTED)
        state = match.result() if match.over else "your move" if match.your_turn else f"{match.opponent.name} thinks"
        canvas.text(state, left, unit * 4.6, unit * 1.2, drawing.YELLOW if match.over else drawing.GREEN)
        if match.over:
            canvas.text("N new game, U take back, ESC quit", left, unit * 6.0, unit * 0.8, drawing.MUTED)
        rows = bars(self.shown, match.game.board.action_names)
        if not rows:
            return
        y = unit * 8
        canvas.text(self.title, left, y, unit, drawing.CYAN)
        for name, part, numbers in rows:
            y += unit * 2.4
            canvas.text(name, left, y, unit * 0.9, drawing.TEXT)
            canvas.text(numbers, canvas.width - unit, y, unit * 0.85, drawing.MUTED, "right")
            canvas.bar(left, y + unit * 0.65, canvas.width - 2 * unit, unit * 0.45, max(part, 0.02), drawing.VIOLET)
        if self.line:
            canvas.text(f"line  {self.line}", left, y + unit * 2.6, unit * 0.9, drawing.CYAN)


def play_window(
    game: str,
    vs: str,
    *,
    seat: int = 0,
    record: str | Path | None = None,
    seed: int = 0,
    trust: Trust = False,
) -> dict[str, Any]:
    """Plays in a window until it is closed. seat: 0 if the person begins, else 1.

    Returns `env`, `results` of the finished games and `records`.
    """
    require_display(NO_DISPLAY)
    match = BoardGame(game, vs, seat=seat, seed=seed, trust=trust)
    with Window(f"rl play {game}", *SIZE) as window:
        table = BoardTable(match, window, None if record is None else Path(record))
        table.run()
    return {"env": f"Boards/{game}-v1", "results": table.results, "records": table.records}


def replay_window(file: str | Path, game: str) -> dict[str, Any]:
    """Shows a record in a window: RIGHT for the next move, LEFT for the one before."""
    require_display(NO_DISPLAY)
    actions, record = read_record(file, game)
    shown, before = Game(game), None
    moved, movers = 0.0, ["", *movers_of(record)]
    with Window(f"rl play {game} --replay", *SIZE) as window:
        while True:
            for event in window.events():
                if event.kind == "close" or event.key in ("escape", "q"):
                    return {"env": f"Boards/{game}-v1", "results": [record.get("result")], "records": [str(file)]}
                place = int(shown.rows["ply"][0])
                if event.kind == "press" and event.key in ("right", "space", "return") and place < len(actions):
                    before, moved = shown.rows[0].copy(), time.perf_counter()
                    shown.play(actions[place])
                elif event.kind == "press" and event.key == "left":
                    shown.undo()
                    before = None
            scenes = plies(game, shown.rows[0], before)
            draw(window.canvas, scenes[-1], min(1.0, (time.perf_counter() - moved) / FALL))
            place = int(shown.rows["ply"][0])
            by = f" by {movers[place]}" if movers[place] else ""
            words = f"move {place} of {len(actions)}{by}   LEFT  RIGHT"
            draw_note(window.canvas, words, unit_of(window.canvas))
            window.show(fps=60)
