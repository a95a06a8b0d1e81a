"""A position for a terminal."""

from __future__ import annotations

from envs.boards.rules import Board, Row

STONES = {"TicTacToe": ("X", "O")}
DISCS = ("●", "○")
"""The stones of the other games."""
COLOURS = {"ConnectFour": ("\033[31m", "\033[33m"), "TicTacToe": ("\033[36m", "\033[35m")}
RESET, DIM, BOLD = "\033[0m", "\033[2m", "\033[1m"


def stones_of(row: Row) -> tuple[int, int]:
    """The stones of player 0 and of player 1 as bits."""
    mine, theirs = int(row["mine"]), int(row["theirs"])
    return (mine, theirs) if row["player"] == 0 else (theirs, mine)


def text(board: Board, row: Row, colour: bool = False) -> str:
    """The board in lines, the names of columns and rows at its edges, and who is to move or has won."""
    marks = STONES.get(board.NAME, DISCS)
    inks = COLOURS.get(board.NAME, ("", BOLD)) if colour else ("", "")
    both, end = stones_of(row), RESET if colour else ""
    columns = "1234567" if board.NAME == "ConnectFour" else "abcdefgh"[: board.width]
    last = int(row["last"])
    lines = []
    for y in range(board.height):
        cells = []
        for x in range(board.width):
            bit = board.cells[y * board.width + x]
            owner = next((k for k in (0, 1) if both[k] >> bit & 1), None)
            cells.append(f"{DIM}·{RESET}" if colour and owner is None else "·")
            if owner is not None:
                cells[-1] = f"{inks[owner]}{marks[owner]}{end}"
        lines.append(f"{_row_name(board, y)} {' '.join(cells)}")
    lines.append(f"  {' '.join(columns)}")
    winner = int(row["winner"])
    if row["ended"]:
        lines.append("a draw" if winner < 0 else f"{marks[winner]} wins")
    else:
        lines.append(f"{marks[int(row['player'])]} to move")
    if 0 <= last < board.actions:
        lines[-1] += f" (last: {board.action_names[last]})"
    if board.passes:
        lines[-1] += f", {marks[0]} {both[0].bit_count()}, {marks[1]} {both[1].bit_count()}"
    return "\n".join(lines)


def _row_name(board: Board, y: int) -> str:
    if board.NAME == "ConnectFour":
        return " "
    return str(board.height - y if board.NAME == "TicTacToe" else y + 1)
