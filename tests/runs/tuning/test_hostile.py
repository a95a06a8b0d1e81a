"""Study files of another origin: one line each, no code run, nothing written outside of the folder."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rl.errors import InputError
from runs.tuning import study as studies
from tests.runs.tuning.made_up import searched


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small tuning."""
    folder = tmp_path_factory.mktemp("whole") / "t"
    with pytest.MonkeyPatch.context() as patch:
        searched(patch, folder, trials=3, seeds=1)
    return {name: (folder / name).read_bytes() for name in ("tune.json", "journal.log")}


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


def changed(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[bytes], bytes]:
    """A journal whose entries `change` changes in place."""

    def of(journal: bytes) -> bytes:
        lines = [json.loads(line) for line in journal.splitlines()]
        change(lines)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return of


def first(lines: list[dict[str, Any]], op: int) -> dict[str, Any]:
    return next(line for line in lines if line["op_code"] == op)


def param(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return next(line for line in lines if line["op_code"] == 5 and line["param_name"] == "lr")


def result(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return next(line for line in lines if line["op_code"] == 6 and line["values"])


CASES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a line that is no JSON": (lambda b: b.replace(b"{", b"(", 1), "line 1 is no JSON object"),
    "a line that is no object": (lambda b: b + b"[1]\n", "is no JSON object"),
    "a pickle": (lambda b: pickle.dumps(Bomb()) + b"\n", "line 1 is no JSON object"),
    "a pickle behind the journal": (lambda b: b + pickle.dumps(Bomb()) + b"\n", "is no JSON object"),
    "deep nesting": (lambda b: b + b'{"a":' * 100_000 + b"}" * 100_000 + b"\n", "is no JSON object"),
    "an unknown operation": (changed(lambda x: x.append({"op_code": 99, "worker_id": ""})), "is damaged"),
    "no operation": (changed(lambda x: x.append({"worker_id": ""})), "is damaged: KeyError"),
    "another study": (changed(lambda x: first(x, 0).update(study_name="x\x1b[2J")), "another search"),
    "two studies": (
        changed(lambda x: x.append({"op_code": 0, "worker_id": "", "study_name": "b", "directions": [2]})),
        "another search",
    ),
    "a study that is minimised": (changed(lambda x: first(x, 0).update(directions=[1])), "another search"),
    "two directions": (changed(lambda x: first(x, 0).update(directions=[2, 2])), "another search"),
    "an unknown field": (changed(lambda x: param(x).update(param_name="os.system\x00")), "searched 'os.system"),
    "another axis": (
        changed(lambda x: param(x).update(distribution=param(x)["distribution"].replace("0.003", "9.0"))),
        "searched 'lr' otherwise",
    ),
    "a class that is no distribution": (
        changed(lambda x: param(x).update(distribution='{"name": "os.system", "attributes": {}}')),
        "is damaged: ValueError",
    ),
    "a value outside of its axis": (changed(lambda x: param(x).update(param_value_internal=5.0)), "lies outside"),
    "a value that is text": (changed(lambda x: param(x).update(param_value_internal="1; import os")), "is damaged"),
    "a value that is not finite": (
        changed(lambda x: param(x).update(param_value_internal=float("nan"))),
        "is damaged",
    ),
    "a score that is text": (changed(lambda x: result(x).update(values=["<script>"])), "is damaged|no whole result"),
    "an infinite score": (changed(lambda x: result(x).update(values=[1e999])), "is no JSON|no whole result"),
    "a step below 0": (
        changed(
            lambda x: x.insert(
                -1, {"op_code": 7, "worker_id": "", "trial_id": 2, "step": -5, "intermediate_value": 1.0}
            )
        ),
        "has a score that is no number",
    ),
    "a note that no search writes": (
        changed(lambda x: first(x, 8).update(user_attr={"run": "../../etc"})),
        "has notes that no search writes",
    ),
    "a source that is no recipe's name": (
        changed(lambda x: first(x, 8).update(user_attr={"source": "a`b|<script>"})),
        "has notes that no search writes",
    ),
    "negative seconds": (
        changed(lambda x: first(x, 8).update(user_attr={"seconds": -1e9})),
        "has notes that no search",
    ),
    "a trial of a deleted study": (changed(lambda x: x.append({"op_code": 1, "worker_id": "", "study_id": 0})), ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_journal_of_another_origin_is_one_line(
    name: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, words = CASES[name]
    folder = tmp_path / "in" / "t"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in")
    monkeypatch.setattr(pickle, "loads", lambda *a, **k: pytest.fail("something was unpickled"))
    (folder / "tune.json").write_bytes(whole["tune.json"])
    spoilt = spoil(whole["journal.log"])
    assert spoilt != whole["journal.log"]
    (folder / "journal.log").write_bytes(spoilt)
    if words:
        with pytest.raises(InputError, match=words) as error:
            searched(monkeypatch, folder, trials=3, seeds=1)
        assert str(folder / "journal.log") in str(error.value)
        assert (folder / "journal.log").read_bytes() == spoilt, "it is left as it was"
    else:
        searched(monkeypatch, folder, trials=3, seeds=1)
    assert sorted(p.name for p in (tmp_path / "in").iterdir()) == ["t"] and not (tmp_path / "exploded").exists()


def test_a_journal_that_is_too_large_is_refused_unread(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(studies, "JOURNAL_BYTES", 100)
    with pytest.raises(InputError, match="is no file of at most"):
        searched(monkeypatch, tmp_path, trials=3)


@pytest.mark.parametrize("name", ["journal.log", "trials", "retest", "found.py", "trials/trial-0/checkpoints"])
def test_a_link_in_the_folder_is_refused(
    name: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, outside = tmp_path / "t", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "tune.json").write_bytes(whole["tune.json"])
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(InputError, match="is a link, which may lead out of the folder"):
        searched(monkeypatch, folder)
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"fingerprint": "0123456789ab"}', "another recipe or space"),
        ("[]", "is damaged"),
        ("\x80\x04pickle", "is damaged"),
        (None, "holds something else"),
    ],
)
def test_a_folder_of_something_else_is_refused(
    text: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    if text is not None:
        (tmp_path / "tune.json").write_text(text)
    with pytest.raises(InputError, match=words):
        searched(monkeypatch, tmp_path)
    assert not (tmp_path / "journal.log").exists()


def test_the_recipe_file_holds_no_text_of_others_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runs.tuning import tune as tuning

    typed = ["rl", "tune", 'x\nimport os\nos.mkdir(\'exploded\')\n"""']
    monkeypatch.setattr(tuning, "command", lambda: typed)
    monkeypatch.chdir(tmp_path)
    found = searched(monkeypatch, tmp_path / "t", trials=3, seeds=1)
    code = Path(found["recipe"]).read_text()
    assert all(line.startswith(("#", "from ", "run = ", " ")) or not line for line in code.splitlines())
    exec(compile(code, "found.py", "exec"), {})
    assert not Path("exploded").exists()
