"""`rl grade`: evaluates many run folders on the same games and writes a leaderboard.

    grade(["submissions"], "cartpole_dqn", games=20)

Nothing in a folder is trusted. Each run is read and played in a process of its own with limits of time and memory
(`runs.comparing.grading.worker`). Whatever goes wrong there becomes a row with its reason.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from rl import stats as st
from rl.cores import usable_cores
from rl.errors import InputError, RunError
from rl.storage import plain, read_json, write_atomic, write_json
from runs.comparing.grading.page import page, table
from runs.folder.jsonl import read_jsonl, write_line
from runs.folder.places import OUT, ROOT
from runs.folder.processes import last_words, run_child, stop_children
from runs.recipe import is_env_id, resolve
from runs.recording.results import fingerprint
from runs.settings.plain import to_json

GAMES = 20
SECONDS = 120
"""Seconds of processor time that one run may take."""
PATIENCE = 4
"""How many times as long it may take by the clock, on a busy machine."""
MEMORY = 4 << 30
"""Bytes of data that the process of one run may have, on platforms with such a limit."""
MOST = 10_000
"""Most rows of one leaderboard."""
DEPTH = 3
"""Levels of folders in a submission that are searched for runs."""
CODE = (".py", ".so", ".pyd")
"""Endings of files that Python imports."""
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables that the process of a run does not get."""

Row = dict[str, Any]


def grade(
    folders: Sequence[str | Path],
    recipe: str,
    *,
    games: int = GAMES,
    seed: int = 0,
    jobs: int | None = None,
    seconds: int = SECONDS,
    out: str | Path | None = None,
    quiet: bool = True,
    trust: bool = False,
) -> dict[str, Any]:
    """Plays `games` games of `seed` with every run in `folders`, the same games for all, and ranks the runs.

    folders: run folders, or folders whose entries are submissions: run folders, or folders with run folders in them.
    recipe: of a recipe's name, the environment and the agent must be the recipe's, and a run may not be trained for
        longer; of an environment id, every agent and budget may take part.
    jobs: runs at once, by default one a core. seconds: processor time of one run; it is killed after four times that.
    out: the folder for grade.json, grade.csv, report.html and report.md (default runs/out/grade_<recipe>). The same
        command goes on there: a run whose files did not change is not played again.
    trust: import the code that a run names, in the limited process; it is also searched in the submission.

    Returns `rows`, best first, failed ones last with their `reason`, and the paths. Raises `InputError` for a folder
    that does not exist, and for an `out` that holds something else.
    """
    if games < 1:
        raise InputError(f"games must be at least 1, got {games}")
    run = resolve(recipe)
    task = {
        "run": to_json(run),
        "recipe": recipe,
        "free": is_env_id(recipe),
        "games": games,
        "seed": seed,
        "limits": {"seconds": seconds, "memory": MEMORY, "trust": trust},
    }
    entries = list(submissions(folders))
    place = _out(out, recipe, {"recipe": recipe, "fingerprint": fingerprint(run), "games": games, "seed": seed})
    rows = _play_all(entries, task, place, jobs or usable_cores(), quiet)
    result = {
        "schema": 1,
        "recipe": recipe,
        "env": run.env,
        "games": games,
        "seed": seed,
        "limits": task["limits"],
        "rows": ranked(rows),
    }
    shown = page(result)
    write_json(place / "grade.json", plain({"kind": "grading", "fingerprint": fingerprint(run), **result}))
    write_atomic(place / "grade.csv", table(result["rows"]).encode("utf-8-sig"))  # a spreadsheet needs the mark
    write_atomic(place / "report.html", shown.render("html").encode())
    write_atomic(place / "report.md", shown.render("md").replace("<", "&lt;").encode())  # a name is no element
    paths = {"html": "report.html", "markdown": "report.md", "csv": "grade.csv", "file": "grade.json"}
    return {**result, **{name: str(place / file) for name, file in paths.items()}}


def submissions(folders: Sequence[str | Path]) -> Iterator[Row]:
    """The rows to fill: `name`, `folder`, and a `reason` if there is nothing to play.

    Raises `InputError` for a folder that does not exist and for more than `MOST` rows.
    """
    names: dict[str, int] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
        entries = [folder] if _is_run(folder) else sorted(p for p in folder.iterdir() if _counts(p))
        for path, reason in (found for entry in entries for found in _runs_in(entry)):
            name = printable(str(path.relative_to(folder)) if path != folder else folder.resolve().name)
            names[name] = names.get(name, 0) + 1
            name += f" ({names[name]})" if names[name] > 1 else ""
            yield {"name": name, "folder": str(path), "reason": reason}
            if sum(names.values()) >= MOST:
                raise InputError(f"{folder} holds more than {MOST:,} runs: grade them in parts")


def _counts(path: Path) -> bool:
    """Whether an entry of a folder is a submission: every folder, link and archive; other files are none."""
    hidden = path.name.startswith((".", "__"))
    return not hidden and (path.is_symlink() or path.is_dir() or path.suffix in (".zip", ".tar", ".gz", ".rar", ".7z"))


def _is_run(path: Path) -> bool:
    return any(os.path.exists(path / name) for name in ("run.json", "manifest.json", "checkpoints"))


def _runs_in(entry: Path) -> list[tuple[Path, str]]:
    """(folder, "") of each run of a submission, or the submission with the reason why it has none."""
    if entry.is_symlink():
        return [(entry, "is a link: copy the folder itself")]
    if not entry.is_dir():
        return [(entry, "is an archive: unpack it")]
    level = [entry]
    for _ in range(DEPTH + 1):
        if runs := [path for path in level if _is_run(path)]:
            return [(path, "") for path in runs]
        try:
            level = [p for path in level for p in sorted(path.iterdir()) if p.is_dir() and not p.is_symlink()]
        except OSError as error:
            return [(entry, f"cannot be read: {error.strerror}")]
    return [(entry, "holds no run folder (no run.json)")]


def printable(text: str) -> str:
    """`text` with control characters, and bytes that are no text, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _out(out: str | Path | None, recipe: str, task: Mapping[str, Any]) -> Path:
    """The folder for the results, of this task. Raises `InputError` if it holds something else."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", Path(recipe).stem if os.path.exists(recipe) else recipe)
    place = OUT / f"grade_{name}" if out is None else Path(out)
    if place.is_file():
        raise InputError(f"--out {place} is a file: name a folder")
    head = place / "task.json"
    if not head.is_file():
        if place.is_dir() and any(place.iterdir()):
            raise InputError(f"--out {place} holds other files: name a new folder")
        place.mkdir(parents=True, exist_ok=True)
        write_json(head, dict(task))
    elif read_json(head) != task:
        raise InputError(f"--out {place} holds a grading with another recipe, seed or number of games: name a new one")
    return place


def _play_all(entries: Sequence[Row], task: Mapping[str, Any], place: Path, jobs: int, quiet: bool) -> list[Row]:
    """The rows in the entries' order. Rows that `place` has of the same files are not played again."""
    kept = {(line["folder"], line["stamp"]): line for line in read_jsonl(place / "rows.jsonl")}
    rows: list[Row] = []
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {}
        for entry in entries:
            entry["folder"] = os.path.abspath(entry["folder"])
            stamp = _stamp(Path(entry["folder"]), task["limits"]["trust"])
            old = kept.get((printable(entry["folder"]), stamp))
            if entry["reason"]:
                rows.append(_failed(entry, entry["reason"]))
            elif old is not None and (old["row"]["status"] == "ok" or old["limits"] == task["limits"]):
                rows.append({**old["row"], "name": entry["name"]})
            else:
                waiting[pool.submit(play, entry, task)] = stamp
        for done in _completed(waiting):
            row = done.result()
            line = {"folder": row["folder"], "stamp": waiting[done], "limits": task["limits"], "row": row}
            write_line(place / "rows.jsonl", line, ("folder",))
            rows.append(row)
            if not quiet:
                words = "failed" if row["reason"] else f"IQM {row['iqm']:.1f}"  # the table at the end has the reasons
                print(f"{len(rows)} of {len(entries)}: {row['name']}: {words}", file=sys.stderr, flush=True)
    except BaseException:
        stop_children()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return rows


def _completed(futures: Iterable[Future[Row]]) -> Iterator[Future[Row]]:
    """The futures as they complete; on Windows an endless wait, as in `as_completed`, would ignore Ctrl-C."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
        yield from done


def _stamp(folder: Path, trust: bool) -> str:
    """Changes if run.json or a manifest, which holds the hashes of the weights, is written anew.

    With `trust` also if code changes that the run may import: in its folder, or beside it.
    """
    digest = hashlib.sha256()
    files = [folder / "run.json", folder / "manifest.json", *folder.glob("checkpoints/*/manifest.json")]
    for path in sorted([*files, *(_code(folder.parent) if trust else ())]):
        try:
            state = path.lstat()
            place = path.relative_to(folder.parent)
            digest.update(f"{place} {state.st_size} {state.st_mtime_ns}\n".encode("utf-8", "replace"))
        except OSError:
            continue
    return digest.hexdigest()


def _code(place: Path) -> Iterator[Path]:
    """The Python files in a folder and below it; links to folders are not followed."""
    for folder, inner, names in os.walk(place):
        inner[:] = [name for name in inner if name != "__pycache__"]
        yield from (Path(folder) / name for name in names if name.endswith(CODE))


def play(entry: Row, task: Mapping[str, Any]) -> Row:
    """The row of one run, played in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    limits = task["limits"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "job.json", Path(folder) / "result.json"
        source.write_text(json.dumps({**task, "folder": entry["folder"]}))
        words = [sys.executable, "-P", "-m", "runs.comparing.grading.worker", str(source), str(target)]
        endless = f"did not end within {limits['seconds']} seconds"
        try:
            done = run_child(words, env=environment, interrupted="interrupted", timeout=PATIENCE * limits["seconds"])
        except subprocess.TimeoutExpired:
            return _failed(entry, endless)
        except RunError:  # if the whole command is interrupted, nobody reads this row
            return _failed(entry, "its process was ended from outside")
        if not target.exists():
            why = last_words(done)
            return _failed(entry, endless if "SIGXCPU" in why else why)
        try:
            return _row(entry, read_json(target), task["games"])
        except (InputError, KeyError, TypeError, ValueError, AttributeError):  # trusted code may have written it
            return _failed(entry, "its result cannot be read")


def _row(entry: Row, answer: Mapping[str, Any], games: int) -> Row:
    """The row of what a process wrote. Raises ValueError, KeyError or TypeError if it does not hold that."""
    if answer["reason"]:
        return _failed(entry, str(answer["reason"]))
    returns = [float(value) for value in answer["returns"]]
    if len(returns) != games or not all(map(math.isfinite, returns)):
        raise ValueError
    guess = st.estimate(returns, np.random.default_rng(0))
    low, high = (guess.point, guess.point) if guess.low is None or guess.high is None else (guess.low, guess.high)
    return {
        **_failed(entry, ""),
        "status": "ok",
        "agent": printable(str(answer["agent"]))[:100],
        "steps": int(answer["steps"]),
        "weights": str(answer["weights"])[:64],
        "iqm": guess.point,
        "interval": [low, high],
        "mean": float(np.mean(returns)),
        "returns": returns,
    }


def _failed(entry: Row, reason: str) -> Row:
    reason = printable(" ".join(reason.replace(entry["folder"] + os.sep, "").split()))[:500]
    empty: Row = dict.fromkeys(("agent", "steps", "weights", "iqm", "interval", "mean"))
    name, folder = entry["name"], printable(entry["folder"])
    return {"name": name, "folder": folder, "status": "failed", "reason": reason, **empty, "returns": []}


def ranked(rows: Sequence[Row]) -> list[Row]:
    """The rows by rank, failed ones last. A rank is 1 plus the number of runs whose intervals lie wholly above.

    Runs whose intervals overlap may therefore share a rank. `same_as` names an earlier row with the same weights.
    """
    good = [row for row in rows if row["status"] == "ok"]
    lows = np.array([row["interval"][0] for row in good])
    out = [{**row, "rank": 1 + int((lows > row["interval"][1]).sum())} for row in good]
    out.sort(key=lambda row: (row["rank"], -row["iqm"], row["name"]))
    first: dict[str, str] = {}
    for row in out:
        row["same_as"] = first.get(row["weights"])
        first.setdefault(row["weights"], row["name"])
    bad = sorted((row for row in rows if row["status"] != "ok"), key=lambda row: row["name"])
    return out + [{**row, "rank": None, "same_as": None} for row in bad]


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result for a terminal."""
    rows = result["rows"]
    wide = max([4, *(len(row["name"]) for row in rows)])
    shown = [f"rank  {'name':{wide}}       IQM   95% interval      agent"]
    for row in rows:
        if row["status"] != "ok":
            shown.append(f"   -  {row['name']:{wide}}  failed: {row['reason']}")
            continue
        low, high = row["interval"]
        same = f"  same weights as {row['same_as']}" if row["same_as"] else ""
        score = f"{row['iqm']:8.1f}  {low:8.1f} to {high:<8.1f}"
        shown.append(f"{row['rank']:4}  {row['name']:{wide}}  {score}  {row['agent']}{same}")
    failed = sum(row["status"] != "ok" for row in rows)
    return [*shown, f"{len(rows) - failed} graded, {failed} failed", f"page: {result['html']}", f"CSV: {result['csv']}"]
