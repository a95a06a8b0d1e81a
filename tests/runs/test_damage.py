"""Run folders from outside: what is damaged or contradicts itself is refused in one line, within a second."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runs
from rl import checkpoint, storage
from rl.checkpoint import CheckpointError
from rl.errors import InputError
from runs.cli import command_line as cli
from runs.reporting.comparison_file import read_comparison
from runs.watching.follow import Follower
from tests.runs.test_trust import SETTINGS, rewrite_manifest

STEP = "checkpoints/step-000000040"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("genuine") / "run"
    runs.train("CartPole-v1", agent="dqn", steps=40, settings=SETTINGS, out=out)
    return out


@pytest.fixture
def run(tmp_path: Path, genuine: Path) -> Path:
    return Path(shutil.copytree(genuine, tmp_path / "run"))


DEEP = {
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "closed lists": b"[" * 5_000 + b"]" * 5_000,
    "below the parser's own limit": b'{"recipe":' + b"[" * 600 + b"]" * 600 + b"}",
    "behind a text with brackets": b'["]]]]", ' * 100_000,
    "no text": b"\xff\xfe\x00",
    "a number of a million digits": b'{"recipe": ' + b"9" * 1_000_000 + b"}",
    "no object": b"[]",
}


@pytest.mark.parametrize("data", [*DEEP, "huge"])
@pytest.mark.parametrize("name", ["run.json", f"{STEP}/manifest.json", f"{STEP}/agent.json", "comparison.json"])
def test_json_that_is_deep_huge_or_no_object_is_damaged_within_a_second(data: str, name: str, run: Path) -> None:
    with open(run / name, "wb") as file:
        if data == "huge":
            file.truncate(200_000_000)
        else:
            file.write(DEEP[data])
    begun = time.perf_counter()
    with pytest.raises(InputError, match="damaged"):
        if name == "comparison.json":
            read_comparison(run)
        elif name == "run.json":
            runs.train(run / name)
        else:
            runs.load(run / STEP)
    assert time.perf_counter() - begun < 1.0


def test_brackets_inside_texts_are_not_depth() -> None:
    value = {"a": ["[" * 1000, '\\"[[['] * 10}
    assert storage.parse_json(json.dumps(value).encode()) == value


def test_a_json_text_beyond_the_bound_is_refused_before_it_is_parsed() -> None:
    assert storage.parse_json(b"3" + b" " * (storage.LARGEST_JSON - 1)) == 3
    begun = time.perf_counter()
    with pytest.raises(ValueError, match="larger than 32 MB"):
        storage.parse_json(b"[" + b"1," * (storage.LARGEST_JSON // 2) + b"1]")
    assert time.perf_counter() - begun < 1.0


def test_a_line_of_a_log_that_is_nested_too_deeply_is_named(run: Path) -> None:
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(b"[" * 100_000 + b"\n")
    assert cli.main(["report", str(run)]) == 2


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../run.json", "..", ".", "", "a/b", "a\\b", "C:x", "C:\\x", "nul\0", "line\n", "x" * 300, ".x"],
)
@pytest.mark.parametrize("kind", ["file", "segment"])
def test_a_manifest_names_files_of_its_own_folder_only(kind: str, name: str, run: Path) -> None:
    def change(manifest: dict[str, Any]) -> dict[str, Any]:
        if kind == "file":
            return {**manifest, "files": {**manifest["files"], name: next(iter(manifest["files"].values()))}}
        return {**manifest, "segments": [{**manifest["segments"][0], "file": name}]}

    rewrite_manifest(run / STEP / "manifest.json", change)
    with pytest.raises(CheckpointError, match="is not the name of a file in the run folder"):
        runs.load(run / STEP)
    with pytest.raises(CheckpointError, match="is not the name of a file in the run folder"):
        runs.resume(run, steps=50)


@pytest.mark.parametrize("name", ["agent.json", "agent.safetensors"])
def test_a_linked_file_is_refused_though_its_content_is_right(name: str, run: Path) -> None:
    path = run / STEP / name
    path.rename(run / "elsewhere")
    path.symlink_to(run / "elsewhere")
    with pytest.raises(CheckpointError, match="a link"):
        runs.load(run)


@pytest.mark.parametrize("field", ["files", "segments", "lengths", "extra", "step"])
@pytest.mark.parametrize("value", [None, 3.5, "x", [1], {"a": None}])
def test_a_manifest_with_a_field_of_another_type_is_damaged(field: str, value: Any, run: Path) -> None:
    rewrite_manifest(run / STEP / "manifest.json", lambda manifest: {**manifest, field: value})
    with pytest.raises(InputError):
        runs.load(run / STEP)
    with pytest.raises(InputError):
        runs.resume(run, steps=50)


# Weights


def with_agent(
    run: Path, how: Callable[[Any], Any], file: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> None:
    """Writes the checkpoint's agent anew, changed by `how`; `file` changes the JSON beside the tensors."""
    folder = run / STEP
    tree = how(storage.load_tree(folder, "agent"))
    records = storage.save_tree(folder, "agent", tree)
    if file is not None:
        records["agent.json"] = storage.write_json(
            folder / "agent.json", file(storage.read_json(folder / "agent.json"))
        )
    rewrite_manifest(folder / "manifest.json", lambda manifest: {**manifest, "files": {**manifest["files"], **records}})


def first_weight(tree: dict[str, Any]) -> str:
    return next(name for name, tensor in tree["network"].items() if tensor.ndim == 2)


def with_nan(tree: dict[str, Any]) -> dict[str, Any]:
    tree["network"][first_weight(tree)][0, 0] = float("nan")
    return tree


def with_infinity(tree: dict[str, Any]) -> dict[str, Any]:
    tree["network"][first_weight(tree)][0, 0] = float("inf")
    return tree


def with_extra_tensor(tree: dict[str, Any]) -> dict[str, Any]:
    return {**tree, "network": {**tree["network"], "extra": np.zeros(2, np.float32)}}


def in_half_precision(tree: dict[str, Any]) -> dict[str, Any]:
    return {**tree, "network": {name: tensor.half() for name, tensor in tree["network"].items()}}


def with_a_word_for_a_step(tree: dict[str, Any]) -> dict[str, Any]:
    return {**tree, "step": "forty"}


def without_a_dict(tree: dict[str, Any]) -> list[Any]:
    return [tree]


WRONG = [with_nan, with_infinity, with_extra_tensor, in_half_precision, with_a_word_for_a_step, without_a_dict]


def refused_by_all(run: Path) -> None:
    for words in (
        ["evaluate", str(run)],
        ["watch", str(run), "--video", str(run / "game.webm")],
        ["play", "CartPole-v1", "--vs", str(run)],
        ["resume", str(run), "--steps", "50"],
    ):
        assert cli.main(words) == 2, words
    with pytest.raises(InputError):
        runs.load(run)


@pytest.mark.parametrize("how", WRONG)
def test_wrong_weights_are_refused_by_every_verb(
    how: Callable[[Any], Any], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envs.drawing.require_display", lambda mend="": None)
    with_agent(run, how)
    refused_by_all(run)


def test_a_dtype_that_contradicts_the_tensors_is_refused_by_every_verb(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envs.drawing.require_display", lambda mend="": None)

    def claim(document: dict[str, Any]) -> dict[str, Any]:
        return json.loads(json.dumps(document).replace("torch.float32", "torch.int32"))

    with_agent(run, lambda tree: tree, claim)
    refused_by_all(run)


def test_tensors_that_the_tree_does_not_name_are_refused(run: Path) -> None:
    folder = run / STEP
    arrays = storage.read_arrays(folder / "agent.safetensors")
    record = storage.write_arrays(folder / "agent.safetensors", {**arrays, "hidden": np.zeros(3, np.float32)})
    files = {"agent.safetensors": record}
    rewrite_manifest(folder / "manifest.json", lambda m: {**m, "files": {**m["files"], **files}})
    with pytest.raises(CheckpointError, match="'hidden', which agent.json does not name"):
        runs.load(run)


def test_tensors_that_the_manifest_does_not_name_are_refused(run: Path) -> None:
    folder = run / STEP
    rewrite_manifest(
        folder / "manifest.json",
        lambda m: {**m, "files": {name: record for name, record in m["files"].items() if name != "agent.safetensors"}},
    )
    with pytest.raises(CheckpointError, match="the manifest does not name it"):
        checkpoint.load_tree(folder, "agent")


@pytest.mark.parametrize("dtype", ["O", "|O", "torch.load", "torch.nn", "torch.Tensor", "nonsense", "V0"])
def test_a_dtype_that_is_none_is_damaged(dtype: str, tmp_path: Path) -> None:
    storage.save_tree(tmp_path, "x", {"a": np.zeros((2, 8), "V8")})  # stored as plain bytes
    document = storage.read_json(tmp_path / "x.json")
    document["tree"]["a"]["dtype"] = dtype
    storage.write_json(tmp_path / "x.json", document)
    with pytest.raises(CheckpointError):
        storage.load_tree(tmp_path, "x")


def test_a_dtype_of_the_same_width_that_contradicts_the_file_is_damaged(tmp_path: Path) -> None:
    storage.save_tree(tmp_path, "x", {"a": np.ones(3, np.float32)})
    document = storage.read_json(tmp_path / "x.json")
    document["tree"]["a"]["dtype"] = "<i4"
    storage.write_json(tmp_path / "x.json", document)
    with pytest.raises(CheckpointError, match="'a' is F32 in the file, not <i4"):
        storage.load_tree(tmp_path, "x")


def test_a_viewer_passes_over_a_newer_checkpoint_with_wrong_weights(run: Path) -> None:
    agent = runs.load(run)
    follower = Follower(run)
    with_agent(run, with_nan)
    before = {name: tensor.clone() for name, tensor in agent.network.state_dict().items()}
    assert not follower.refresh(agent)
    assert all(bool((before[name] == tensor).all()) for name, tensor in agent.network.state_dict().items())
