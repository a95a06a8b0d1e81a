"""What all labs share: prints a curve beside the recorded ones, and what is wrong with it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SINGLE_FILE = Path(__file__).resolve().parents[1] / "single_file"


def need(module: str) -> Any:
    """A module of docs/single_file (`dqn`, `ppo`) or of the suite; ends the lab with one line if it is missing.

    Raises ModuleNotFoundError if the module itself imports one that is missing.
    """
    sys.path.insert(0, str(SINGLE_FILE))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise  # the module is there, and lacks another one
        mend = f"keep docs/single_file beside docs/labs, so that {SINGLE_FILE / module}.py exists"
        if module not in ("dqn", "ppo"):
            mend = "install the suite: pip install -e . in its repository"
        sys.exit(f"this lab needs {module}: {mend}")


def main(learn: Callable[[], Sequence[float]], check: Callable[[Sequence[float]], str], last: str = "") -> None:
    """Runs the lab that was started, and exits with 0 if nothing is wrong, else with 1.

    last: the name of the curve's last number, if it is no point of the curve.
    """
    path = Path(sys.argv[0]).with_suffix(".json")
    if not path.exists():
        sys.exit(f"this lab needs {path}, its recorded curves: copy the whole folder docs/labs")
    recorded = json.loads(path.read_text())
    curve = list(learn())
    columns = (curve, recorded["wrong"], recorded["right"])
    print(f"{recorded['x']:>12} {'yours':>10} {'wrong':>10} {'right':>10}")
    rows = max(map(len, columns))
    for i in range(rows):
        cells = (_cell(column[i]) if i < len(column) else "-" for column in columns)
        x = last if last and i == rows - 1 else (i + 1) * recorded["every"]
        print(f"{x:>12}", *(f"{cell:>10}" for cell in cells))
    wrong = check(curve)
    print(wrong or "nothing is wrong")
    sys.exit(bool(wrong))


def _cell(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.4g}"
