"""`runs.Result`, `runs.plot` and `runs.frame`: what they show is what lies in the run folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import runs
from rl.errors import InputError

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    matplotlib.use("agg")
    folder = tmp_path_factory.mktemp("runs") / "<little>"
    settings = ["eval_every=500", "eval_episodes=3", "eval_max_steps=20", "log_every=200"]
    runs.train("CartPole-v1", agent="ppo", steps=1_000, out=folder, settings=settings)
    return folder


def test_a_result_says_what_the_folder_holds_and_is_shown_in_a_notebook(run: Path) -> None:
    result = runs.Result(run)
    last = json.loads((run / "evaluations.jsonl").read_text().splitlines()[-1])
    assert result.score == pytest.approx(np.mean(last["returns"]))
    words = f"ppo on CartPole-v1, seed 0, 1,000 steps, mean return {result.score:.1f}"
    assert repr(result) == f"Result({str(run)!r}): {words}"
    html = result._repr_html_()
    assert words in html and "data:image/png;base64," in html and "<little>" not in html  # names are escaped


def test_the_table_has_one_row_an_evaluation(run: Path) -> None:
    table = runs.Result({"run": str(run)}).table()
    assert [row["step"] for row in table] == [500, 1_000] and {row["games"] for row in table} == {3}
    assert table[-1]["mean"] == pytest.approx(runs.Result(run).score)
    assert repr(table).splitlines()[0].split() == ["step", "games", "mean", "IQM", "lowest", "highest"]
    assert table._repr_html_().count("<tr>") == 3 and "<td>1,000</td>" in table._repr_html_()


def test_a_plot_has_one_line_a_run_with_its_evaluations(run: Path) -> None:
    axes = runs.plot([run, runs.Result(run)])
    (one, two) = axes.get_lines()
    assert one.get_xdata().tolist() == [500, 1_000]
    assert one.get_ydata()[-1] == pytest.approx(runs.Result(run).score)
    assert two.get_label() == "ppo, seed 0 (<little>)"  # two runs of the same agent and seed
    loss = runs.plot(run, metric="train/loss")
    assert loss.get_ylabel() == "train/loss" and len(loss.get_lines()) == 1
    with pytest.raises(InputError, match="no run has the metric 'train/joy': known: .*train/loss"):
        runs.plot(run, metric="train/joy")
    matplotlib.pyplot.close("all")


def test_a_frame_has_the_lines_of_all_runs(run: Path) -> None:
    pytest.importorskip("pandas")
    frame = runs.frame(run, [run])
    assert len(frame) == 4 and list(frame.columns[:4]) == ["run", "env", "agent", "seed"]
    assert len(runs.frame(run, what="episodes")) == len((run / "episodes.jsonl").read_text().splitlines())
    with pytest.raises(InputError, match="expected evaluations, episodes or metrics"):
        runs.frame(run, what="tables")


def test_a_film_is_a_file_in_the_run_folder_and_plays_inline(run: Path) -> None:
    film = runs.Result(run).film(seed=3, size=(160, 120))
    assert film.path == run / "videos" / "film-s3.webm" and film.path.stat().st_size > 1_000
    assert film._repr_html_().startswith('<video src="data:video/webm;base64,')


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run folder: it has no run\.json"):
        runs.Result(tmp_path)
    (tmp_path / "run.json").write_text('{"recipe": 7}')
    with pytest.raises(InputError, match="has no recipe"):
        runs.Result(tmp_path)
    with pytest.raises(InputError, match="name a run"):
        runs.plot()
