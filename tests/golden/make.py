"""`python -m tests.golden.make`: writes digests.json from today's code.

`--fixtures` first trains the run folders and the comparison in tests/golden/runs anew. They are meant to stay as old
code wrote them, so use it only if a format changes on purpose. `--check` writes nothing and lists what differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import runs
from tests.golden.cases import CASES, COMPARED, FIXTURES, RESUMED, Case
from tests.golden.measure import HERE, copy, machine_kind, read_comparison, recipe_fingerprints, resume, train

DIGESTS = HERE / "digests.json"


def measure(place: Path) -> dict[str, Any]:
    """Everything that digests.json holds, made in the empty folder `place`."""
    found: dict[str, Any] = {"machine": machine_kind(), "cases": {}, "resumed": {}, "evaluated": {}}
    for name, case in CASES.items():
        print(name, file=sys.stderr)
        found["cases"][name] = train(case, place / "cases" / name)
    for name, steps in RESUMED.items():
        found["resumed"][name] = resume(name, steps, place / "resumed")
        whole = train(Case(**{**vars(FIXTURES[name]), "steps": steps}), place / "whole" / name)
        # The old code's arithmetic differs in the last digits, so only the games are compared; DQN drew its samples in
        # another order, and PPO summed the return of a running episode in float32.
        if name in ("ppo", "r2d2") and whole["digests"]["episodes"] != found["resumed"][name]["digests"]["episodes"]:
            raise AssertionError(f"{name}: the resumed run's episodes differ from an uninterrupted run's")
        said = runs.evaluate(copy(name, place / "evaluated"), episodes=3, seed=7, device="cpu")
        found["evaluated"][name] = {"returns": said["returns"], "lengths": said["lengths"], "seeds": said["seeds"]}
    found["comparison"] = read_comparison(compare(copy("comparison", place)))
    found["recipes"] = recipe_fingerprints()
    return found


def compare(out: Path) -> dict[str, Any]:
    """Trains the small comparison in `out`, or finds it there."""
    return runs.compare(**COMPARED, videos=False, out=out)  # type: ignore[arg-type]


def make_fixtures() -> None:
    """Trains the folders of tests/golden/runs anew."""
    target = HERE / "runs"
    shutil.rmtree(target, ignore_errors=True)
    for name, case in FIXTURES.items():
        train(case, target / name)
        (target / name / ".lock").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as place:
        made = Path(compare(Path(place) / "comparison")["out"])
        shutil.copytree(made, target / "comparison", ignore=shutil.ignore_patterns("runs", "*.html", ".lock"))
        for file in (target / "comparison").rglob("*.json"):  # no path of this machine
            file.write_text(file.read_text().replace(f"{made}/", ""))


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """One line for each value of `new` that differs from `old`'s."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [line for k in keys for line in differences(old.get(k), new.get(k), f"{path}/{k}")]
    return [] if old == new else [f"{path}: {str(old)[:60]} is now {str(new)[:60]}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fixtures", action="store_true", help="train the old folders anew, too")
    parser.add_argument("--check", action="store_true", help="write nothing, list what differs")
    args = parser.parse_args()
    sys.argv[:] = ["rl"]  # run.json and comparison.json keep the command line
    os.environ["OMP_NUM_THREADS"] = "1"
    if args.fixtures:
        make_fixtures()
    with tempfile.TemporaryDirectory() as place:
        found = json.loads(json.dumps(measure(Path(place))))
    if args.check:
        wrong = differences(json.loads(DIGESTS.read_text()), found)
        print("\n".join(wrong) or "nothing differs")
        return int(bool(wrong))
    DIGESTS.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
