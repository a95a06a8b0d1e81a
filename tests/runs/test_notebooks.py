"""The notebooks of docs/: they run, they are small, and each begins with its installation."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from runs.folder.places import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_begins_with_its_installation(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    outputs = json.dumps([cell.get("outputs", []) for cell in cells])
    assert len(outputs) < 50_000
    install = '%pip install -q "{source}"' if path.stem == "6_colab" else '%pip install -q "ludo-rl[notebooks]"'
    assert cells[0]["cell_type"] == "markdown" and install in "".join(cells[1]["source"])
    for cell in cells:
        assert cell["cell_type"] == "markdown" or cell["execution_count"] is None


def test_there_are_six() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == list("123456")


@pytest.mark.parametrize(
    ("git", "name", "files", "installed"),
    [
        ("https://example.org/you/ludo-rl.git", "", [], r"ludo-rl @ git\+https://example.org/you/ludo-rl.git"),
        ("", "mine.zip", ["ludo-rl.zip", "mine.zip"], "ludo-rl @ file:///.*/mine.zip"),
        ("", "", ["ludo-rl-main.zip"], "ludo-rl @ file:///.*/ludo-rl-main.zip"),
        ("", "", [], None),
        ("", "gone.zip", ["ludo-rl.zip"], None),
    ],
)
def test_the_colab_notebook_installs_from_git_or_an_uploaded_zip(
    git: str, name: str, files: list[str], installed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in files:
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    asked: list[str] = []
    source = "".join(json.loads(NOTEBOOKS[-1].read_text())["cells"][1]["source"])
    source = source.replace('GIT = ""', f"GIT = {git!r}").replace('ZIP = ""', f"ZIP = {name!r}")
    source = re.sub(r"%pip (\w+ -q.*)", r"asked.append(fQQQ\1QQQ)".replace("QQQ", "'" * 3), source)
    if installed is None:
        with pytest.raises(FileNotFoundError, match="fill in GIT, or upload the suite as a zip file"):
            exec(source, {"asked": asked})
        return
    exec(source, {"asked": asked})
    assert asked[0] == "uninstall -q -y pygame" and re.fullmatch(f'install -q "{installed}"', asked[1])


@pytest.mark.full
@pytest.mark.timeout(960)  # a cell may take 900 seconds on a busy machine
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    notebook = nbformat.read(path, 4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert "text/html" in kinds or "image/png" in kinds
    if path.stem.startswith("1"):
        html = [str(output["data"]["text/html"]) for output in shown if "text/html" in output.get("data", {})]
        assert any("<progress value=" in text and "8,000 of 8,000 steps" in text for text in html)
        assert any(text.startswith("<video") for text in html) and "image/png" in kinds
