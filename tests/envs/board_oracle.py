"""The rules of the board games written a second time, slowly: on a grid of 0 and 1, None where a cell is empty."""

from __future__ import annotations

import copy
from typing import Any

DIRECTIONS = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


class Oracle:
    """One game. `cell[y][x]` is 0, 1 or None; row 0 is the top row."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.width, self.height = {"TicTacToe": (3, 3), "ConnectFour": (7, 6), "Othello6": (6, 6), "Othello": (8, 8)}[
            name
        ]
        self.cell: list[list[Any]] = [[None] * self.width for _ in range(self.height)]
        self.player, self.winner, self.ended = 0, -1, False
        if name.startswith("Othello"):
            half = self.width // 2
            self.cell[half][half - 1] = self.cell[half - 1][half] = 0
            self.cell[half - 1][half - 1] = self.cell[half][half] = 1

    def legal(self) -> list[int]:
        if self.ended:
            return []
        if self.name == "ConnectFour":
            return [x for x in range(7) if self.cell[0][x] is None]
        places = [(y, x) for y in range(self.height) for x in range(self.width) if self.cell[y][x] is None]
        if self.name.startswith("Othello"):
            places = [(y, x) for y, x in places if self.turned(y, x, self.player)]
            if not places:
                return [self.width * self.height]
        return [y * self.width + x for y, x in places]

    def turned(self, y: int, x: int, player: int) -> list[tuple[int, int]]:
        found = []
        for dx, dy in DIRECTIONS:
            run, i, j = [], y + dy, x + dx
            while self.on_board(i, j) and self.cell[i][j] == 1 - player:
                run.append((i, j))
                i, j = i + dy, j + dx
            if self.on_board(i, j) and self.cell[i][j] == player:
                found += run
        return found

    def on_board(self, y: int, x: int) -> bool:
        return 0 <= y < self.height and 0 <= x < self.width

    def play(self, action: int) -> None:
        assert action in self.legal()
        if self.name.startswith("Othello"):
            self._othello(action)
        else:
            y, x = divmod(action, self.width)
            if self.name == "ConnectFour":
                x = action
                y = max(k for k in range(6) if self.cell[k][x] is None)
            self.cell[y][x] = self.player
            if self.in_a_row(3 if self.name == "TicTacToe" else 4):
                self.winner, self.ended = self.player, True
            elif all(value is not None for row in self.cell for value in row):
                self.ended = True
        self.player = 1 - self.player

    def _othello(self, action: int) -> None:
        if action < self.width * self.height:
            y, x = divmod(action, self.width)
            for i, j in [*self.turned(y, x, self.player), (y, x)]:
                self.cell[i][j] = self.player
        can = [
            any(
                self.cell[y][x] is None and self.turned(y, x, player)
                for y in range(self.height)
                for x in range(self.width)
            )
            for player in (0, 1)
        ]
        if not any(can):
            self.ended = True
            black, white = (sum(row.count(player) for row in self.cell) for player in (0, 1))
            self.winner = -1 if black == white else int(white > black)

    def in_a_row(self, many: int) -> bool:
        for y in range(self.height):
            for x in range(self.width):
                for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
                    line = [(y + k * dy, x + k * dx) for k in range(many)]
                    if all(self.on_board(i, j) and self.cell[i][j] == self.player for i, j in line):
                        return True
        return False

    def observation(self) -> list[list[list[bool]]]:
        return [[[v == self.player, v == 1 - self.player] for v in row] for row in self.cell]

    def value(self) -> int:
        """Exhaustive minimax for the player to move: 1, 0 or -1."""
        if self.ended:
            return 0 if self.winner < 0 else (1 if self.winner == self.player else -1)
        values = []
        for action in self.legal():
            after = copy.deepcopy(self)
            after.play(action)
            values.append(-after.value())
        return max(values)
