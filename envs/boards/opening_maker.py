"""Solves Connect Four's first moves for the opening book.

python -m envs.boards.opening_maker MINUTES      solves the next positions of `ORDER` and adds them to the file
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from envs.boards.opening_book import FILE, ORDER, key_of
from envs.boards.solver import Solver, played


def main() -> None:
    until, solver = time.process_time() + 60 * float(sys.argv[1]), Solver(1 << 25)
    known: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for moves in ORDER:
        row = played(moves).rows
        key = key_of(int(row["mine"][0]), int(row["theirs"][0]))
        if key in known or time.process_time() > until:
            continue
        begun = time.process_time()
        known[key] = int(solver.values(row["mine"], row["theirs"])[0])
        FILE.write_text(json.dumps(known, indent=0) + "\n")
        print(f"{moves}: {known[key]:+d} after {time.process_time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
