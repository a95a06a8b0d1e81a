"""Puts seeded bugs into copies of the tree, where tests must fail: `python -m tests.mutants [--only NAME] [--jobs N]`.

The TOML files beside this one hold the bugs. A run of all of them writes docs/mutants.md.

    file = "rl/stats.py"
    [[mutant]]
    bug = "The correction for few runs is missing."   # one sentence, for the list of survivors
    old = " * math.sqrt(runs / (runs - 1))"           # occurs exactly once in the file
    new = ""
    tests = "tests/rl/test_stats.py"                  # files, folders or test ids
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SHARE = 0.97  # of the bugs, at least, must be caught
LIMIT = 600.0  # seconds for the tests of one bug; one test that hangs fails after pytest's own limit
Mutant = NamedTuple("Mutant", [(name, str) for name in ("file", "bug", "old", "new", "tests")])


def read_mutants(name: str = "*") -> list[Mutant]:
    modules = [tomllib.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob(f"{name}.toml"))]
    return [Mutant(module["file"], **entry) for module in modules for entry in module["mutant"]]


def run_tests(tree: Path, tests: list[str], limit: float | None = None) -> int | None:
    """pytest's exit status in `tree`, None if it was stopped after `limit` seconds; its output is in `tree`.out."""
    env = {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(tree.parent / "numba"), **os.environ, "PYTHONPATH": str(tree)}
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # two versions of a source from one second would share a compiled file
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    with open(f"{tree}.out", "w") as out:
        child = subprocess.Popen(words, cwd=tree, env=env, stdout=out, stderr=out, start_new_session=True)
        try:
            return child.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)


def outcome(tree: Path, mutant: Mutant) -> str:
    """Whether the mutant is "caught" in `tree`, which stays as it was, or why not."""
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return "does not apply"
    path.write_text(text.replace(mutant.old, mutant.new))
    status = run_tests(tree, mutant.tests.split(), LIMIT)
    path.write_text(text)
    kind = {0: "survived", 5: "does not apply", None: "took too long"}.get(status, "caught")  # 5: no test was found
    print(f"{kind:15}{mutant.file}: {mutant.bug}", flush=True)
    return kind


def report(outcomes: list[tuple[Mutant, str]]) -> str:
    """The page docs/mutants.md: a row for each module, then the bugs that were not caught."""
    caught, total = Counter(m.file for m, kind in outcomes if kind == "caught"), Counter(m.file for m, _ in outcomes)
    text = f"# Seeded bugs\n\n`python -m tests.mutants` on {time.strftime('%Y-%m-%d')}: the tests catch "
    text += f"{caught.total()} of {len(outcomes)}.\n\n| module | bugs | caught |\n|---|---|---|\n"
    text += "".join(f"| {file} | {count} | {caught[file]} |\n" for file, count in sorted(total.items()))
    missed = [f"- {m.file}: {m.bug} ({kind})\n" for m, kind in outcomes if kind != "caught"]
    return text + "\nNot caught:\n\n" + "".join(missed) if missed else text


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--only", default="*", metavar="NAME", help="one module, such as stats")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="tests that run side by side")
    options = parser.parse_args()
    mutants = read_mutants(options.only)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        trees = [Path(folder, f"tree-{k}") for k in range(options.jobs)]
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "out", "wandb"))
        tests = sorted({test for m in mutants for test in m.tests.split()})
        parts = [part for k in range(len(trees)) if (part := tests[k :: len(trees)])]  # without a test, all would run
        if any(pool.map(run_tests, trees, parts)):
            sys.exit("tests fail without any bug:\n" + "".join(Path(f"{t}.out").read_text()[-3000:] for t in trees))
        shares = pool.map(lambda k: [(m, outcome(trees[k], m)) for m in mutants[k :: len(trees)]], range(len(trees)))
        outcomes = sorted(pair for share in shares for pair in share)
    print(kinds := Counter(kind for _, kind in outcomes))
    if options.only == "*":
        (ROOT / "docs" / "mutants.md").write_text(report(outcomes))
    return int(kinds["does not apply"] > 0 or kinds["caught"] < SHARE * len(mutants))


if __name__ == "__main__":
    sys.exit(main())
