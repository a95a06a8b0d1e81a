import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
import runs
import runs.comparing.worker as worker
from rl.errors import InputError, RunError
from runs.comparing import random_policy
from runs.comparing.compare import compare
from runs.comparing.comparison import Comparison, _spans
from runs.comparing.plan import make_plan
from runs.comparing.senders import failed, run_job
from runs.folder import provenance
from runs.folder.provenance import git_commit
from runs.recipe import resolve
from runs.recording import results

QUICK = "dqn@default:learning_starts=50,sb3:dqn:learning_starts=50"


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """A result without a training, for tests of order and files."""
    score = 10.0 * len(job["contender"]) + job["seed"]
    return {
        **failed(job, "x"),
        "status": "ok",
        "error": None,
        "score": score,
        "returns": [score],
        "steps": job["steps"],
    }


def plan(agents: str = QUICK, **options: Any) -> Any:
    return make_plan("CartPole-v1", agents, **{"steps": 200, **options})


def test_both_libraries_are_trained_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # in this process, without the start-up of a worker for each job
    monkeypatch.setattr(sys.modules["runs.comparing.senders"], "run_job", worker.work)
    found = compare("CartPole-v1", QUICK + ",random", steps=200, seeds=1, out=tmp_path / "c")
    assert {c["name"]: len(c["scores"]) for c in found["contenders"]} == {
        "dqn@default:learning_starts=50": 1,
        "sb3:dqn:learning_starts=50": 1,
        "random": 1,
    }
    assert found["pairs"][0]["interval"] is None and "no verdict" in found["headline"]
    data = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert 15 < data["tasks"][0]["random"] < 32, "100 games of the random policy on CartPole"
    ours, theirs, _ = data["results"]
    assert ours["steps"] == theirs["steps"] == 200
    assert [p[0] for p in ours["curve"]] == [p[0] for p in theirs["curve"]] == list(range(10, 201, 10))
    assert ours["curve"][-1][2] == ours["score"] and theirs["curve"][-1][2] == theirs["score"]
    assert len(ours["returns"]) == len(theirs["returns"]) == 20
    assert Path(found["report"]).is_file() and (tmp_path / "c" / "report.md").is_file()
    assert [v["contender"] for v in data["videos"]] == ["dqn@default:learning_starts=50", "sb3:dqn:learning_starts=50"]
    assert "rl compare" in data["command"]
    again = compare("CartPole-v1", QUICK + ",random", steps=200, seeds=1, out=tmp_path / "c")
    assert again["contenders"] == found["contenders"], "nothing is trained twice"


@pytest.mark.parametrize("kind", ["ours", "peer"])
def test_the_same_seed_gives_the_same_result(tmp_path: Path, kind: str) -> None:
    found = plan(QUICK.split(",")[kind == "peer"])
    results = []
    for k in range(2):
        comparison = Comparison(found, tmp_path / str(k), 1, videos=False)
        results.append(worker.work(comparison.job(found.sides[0], 0, jobs=1)))
    assert results[0]["commit"] == git_commit() and results[0]["jobs"] == 1
    a, b = ({k: r[k] for k in ("score", "returns", "steps")} for r in results)
    assert a == b and results[0]["curve"][0][2] == results[1]["curve"][0][2]


def test_trainings_run_seed_by_seed_and_the_first_contender_rotates(tmp_path: Path) -> None:
    comparison = Comparison(plan("dqn,sb3:dqn,sb3:ppo", steps=3000), tmp_path, 3, videos=False)
    order = [(s.contender.text, seed) for s, seed in comparison.missing()]
    assert order == [
        ("reference", 0),
        *[("dqn", 0), ("sb3:dqn", 0), ("sb3:ppo", 0)],
        *[("sb3:dqn", 1), ("sb3:ppo", 1), ("dqn", 1)],
        *[("sb3:ppo", 2), ("dqn", 2), ("sb3:dqn", 2)],
    ]


def test_an_interrupted_comparison_continues_where_it_stopped(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def send(job: dict[str, Any]) -> dict[str, Any]:
        asked.append((job["contender"], job["seed"]))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return answer(job)

    with pytest.raises(KeyboardInterrupt):
        Comparison(plan(), tmp_path, 3, videos=False).fill(1, send, quiet=True)
    kept = json.loads((tmp_path / "comparison.json").read_text())
    assert len(kept["results"]) == 2 and kept["tasks"][0]["random"] is not None
    first = list(asked)
    Comparison(plan(), tmp_path, 3, videos=False).fill(2, send, quiet=True)
    assert sorted(asked[4:]) == sorted({(c, s) for c in QUICK.split(",") for s in range(3)} - set(first[:3]))
    asked.clear()
    Comparison(plan(), tmp_path, 4, videos=False).fill(1, send, quiet=True)
    assert sorted(asked) == sorted((c, 3) for c in QUICK.split(",")), "more seeds train only the new ones"


def test_weights_of_another_commit_are_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = plan("dqn@default:learning_starts=50", steps=100).sides[0]
    job = Comparison(plan("dqn@default:learning_starts=50", steps=100), tmp_path, 1, videos=False).job(side, 0, 1)
    first = worker.work(job)
    module = sys.modules["runs.training.train"]
    trained = []
    whole = module.train  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "train", lambda *a, **k: trained.append(1) or whole(*a, **k))
    assert worker.work(job)["score"] == first["score"] and not trained, "cut before its result was written"
    monkeypatch.setattr(provenance, "git_commit", lambda: "f" * 40)
    found = worker.work(job)
    assert trained and found["commits"] == ["f" * 40], "it may have been withdrawn or cut short: it is trained again"
    folder = Path(job["folder"])
    assert len(list(folder.parent.iterdir())) == 2, "the older weights are moved aside"


def test_a_training_by_two_commits_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan("dqn@default:learning_starts=50", steps=100)
    job = Comparison(made, tmp_path, 1, videos=False).job(made.sides[0], 0, 1)
    runs.train("CartPole-v1", agent="dqn", steps=60, settings=["learning_starts=50"], out=job["folder"])
    begun = git_commit()
    monkeypatch.setattr(provenance, "git_commit", lambda: "f" * 40)
    run = dataclasses.replace(resolve("cartpole_dqn"), steps=2_000)
    assert worker._begun(Path(job["folder"]), run) == [begun, "f" * 40]


def test_a_changed_setting_changes_the_fingerprint_and_is_trained(tmp_path: Path) -> None:
    Comparison(plan(), tmp_path, 1, videos=False).fill(1, answer, quiet=True)
    changed = Comparison(plan(QUICK.replace("=50", "=60", 1)), tmp_path, 1, videos=False)
    assert [s.contender.text for s, _ in changed.missing()] == ["dqn@default:learning_starts=60"]


def filmed(job: dict[str, Any]) -> dict[str, Any]:
    """`answer` with a video that names its contender and budget."""
    if job["video"]:
        Path(job["video"]).parent.mkdir(exist_ok=True)
        Path(job["video"]).write_text(f"{job['contender']} {job['steps']}")
    return answer(job)


def test_results_of_other_settings_are_kept_and_reported_as_unused(tmp_path: Path) -> None:
    def run(agents: str = QUICK, seeds: int = 2, **options: Any) -> tuple[str, list[tuple[str, str, int]]]:
        comparison = Comparison(plan(agents, **options), tmp_path, seeds, videos=False)
        unused, todo = comparison.unused(), comparison.missing()
        comparison.fill(1, answer, quiet=True)
        comparison.write()
        return unused, [(s.contender.text, s.fingerprint, seed) for s, seed in todo]

    unused, first = run()
    assert unused == "" and run() == ("", [])
    kept = Comparison(plan(), tmp_path, 2, videos=False).kept
    before = {key: kept[key] for key in kept if key[2] in {fingerprint for _, fingerprint, _ in first}}
    assert len(before) == len(first)
    unused, _ = run(steps=400)
    both = QUICK.replace(",", ", ")
    assert unused == (
        f"{tmp_path} holds results that are not used now, and keeps them: 4 for 200 steps, not 400 ({both}); "
        "what made them uses them again, and --out keeps the two apart"
    )
    kept = Comparison(plan(), tmp_path, 2, videos=False).kept
    assert {key: kept[key] for key in before} == before
    assert run()[1] == [], "the older command finds all of its results"
    unused, _ = run(evaluations=4)
    assert "4 for 400 steps, not 200" in unused and "4 with other evaluations" in unused
    unused, _ = run("dqn@default:learning_starts=50", seeds=1, evaluations=4)
    assert (
        "1 of seeds beyond the 1 asked for" in unused
        and "of contenders or tasks that are not named now (sb3:dqn" in unused
    )
    unused, _ = run("dqn@default:learning_starts=50:double=true")
    assert unused.count(" of contenders or tasks that are not named now (") == 1
    labelled = "a=dqn@default:learning_starts={}"
    run(labelled.format(50))
    assert "2 with other settings (a)" in run(labelled.format(60))[0]


def test_videos_show_the_trainings_on_the_page(tmp_path: Path) -> None:
    films = {}
    for steps in (200, 400):
        comparison = Comparison(plan(steps=steps), tmp_path, 1, videos=True)
        assert comparison.to_json()["videos"] == [], "no video of the other training"
        comparison.fill(1, filmed, quiet=True)
        films[steps] = comparison.to_json()["videos"]
    comparison = Comparison(plan(steps=200), tmp_path, 1, videos=True)
    assert comparison.to_json()["videos"] == films[200]
    for steps, shown in films.items():
        assert [(tmp_path / v["file"]).read_text() for v in shown] == [f"{v['contender']} {steps}" for v in shown]


def test_a_video_named_without_a_fingerprint_is_still_shown(tmp_path: Path) -> None:
    comparison = Comparison(plan("sb3:a2c"), tmp_path, 1, videos=True)
    comparison.fill(1, filmed, quiet=True)
    data = comparison.to_json()
    (film,) = data["videos"]
    older = film["file"].rpartition("_")[0] + ".webm"
    (tmp_path / film["file"]).rename(tmp_path / older)
    (tmp_path / "comparison.json").write_text(json.dumps({**data, "videos": [{**film, "file": older}]}))
    again = Comparison(plan("sb3:a2c"), tmp_path, 2, videos=True)
    assert [v["file"] for v in again.to_json()["videos"]] == [older]
    changed = Comparison(plan("sb3:a2c", steps=400), tmp_path, 1, videos=True)
    assert changed.film(changed.plan.sides[0]) != older


def test_compare_reports_unused_results_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["runs.comparing.senders"], "run_job", answer)
    for steps in (200, 400):
        compare("CartPole-v1", "sb3:a2c", steps=steps, seeds=1, out=tmp_path / "c", videos=False, quiet=False)
        lines = [line for line in capsys.readouterr().err.splitlines() if "not used now" in line]
        assert len(lines) == (steps == 400)
    assert "1 for 200 steps, not 400 (sb3:a2c); what made them" in lines[0]


def test_recorded_results_of_the_same_recipe_are_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runs.recipe import resolve as resolve_recipe

    recipe = resolve_recipe("cartpole_dqn")
    mark = {"recipe": "cartpole_dqn", "fingerprint": results.fingerprint(recipe)}
    place = tmp_path / "results"
    kept = {"status": "ok", "score": {"mean": 499.0, "returns": [499.0]}, "steps": recipe.steps, "seconds": 20.0}
    kept |= {"steps_per_second": 2500.0, "machine": {**provenance.machine(), "jobs": 1}, "evaluations": []}
    kept |= {**mark, "seed": 1, "others": 0.05, "commit": "c" * 40, "versions": {"torch": "2.0"}}
    results.write_result(kept, place)
    monkeypatch.setattr("runs.folder.places.RESULTS", tmp_path / "results")
    comparison = Comparison(make_plan("cartpole_dqn", "dqn"), tmp_path / "c", 3, videos=False)
    assert [seed for s, seed in comparison.missing() if s.contender.text == "dqn"] == [0, 2]
    reused = comparison.results["dqn", "CartPole-v1", 1]
    assert (reused["score"], reused["seconds"], reused["alone"]) == (499.0, 20.0, True)
    assert (reused["commit"], reused["versions"]) == ("c" * 40, {"torch": "2.0"})
    (on,) = comparison.to_json()["contenders"][0]["tasks"].values()
    assert on["note"] == "recipe cartpole_dqn; seed 1 recorded at ccccccc"
    lost = {"status": "failed", "error": "boom", "commit": "d" * 40}
    results.write_result({**mark, "seed": 2, **lost}, place)
    comparison = Comparison(make_plan("cartpole_dqn", "dqn"), tmp_path / "c", 3, videos=False)
    assert [seed for s, seed in comparison.missing() if s.contender.text == "dqn"] == [0]
    lost = comparison.results["dqn", "CartPole-v1", 2]
    assert (lost["status"], lost["error"], lost["score"], lost["commit"]) == ("failed", "boom", None, "d" * 40)
    results.write_result({**kept, "machine": {"processor": "another", "jobs": 1}}, place)
    elsewhere = Comparison(make_plan("cartpole_dqn", "dqn"), tmp_path / "c", 3, videos=False)
    assert elsewhere.results["dqn", "CartPole-v1", 1]["seconds"] is None, "times of another machine do not count"
    for others in (None, 0.5):  # not measured yet; measured on a machine with other load
        results.write_result({**kept, "others": others}, place)
        shared = Comparison(make_plan("cartpole_dqn", "dqn"), tmp_path / "c", 3, videos=False)
        found = shared.results["dqn", "CartPole-v1", 1]
        assert (found["score"], found["seconds"], found["alone"]) == (499.0, None, False)
    changed = Comparison(make_plan("cartpole_dqn", "dqn:gamma=0.9"), tmp_path / "d", 3, videos=False)
    assert changed.results == {}


def test_seeds_are_listed_as_ranges() -> None:
    assert _spans([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"


def test_a_failed_seed_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    def send(job: dict[str, Any]) -> dict[str, Any]:
        return failed(job, "RuntimeError:\n boom") if job["seed"] == 1 else answer(job)

    comparison = Comparison(plan(), tmp_path, 3, videos=False)
    comparison.fill(1, send, quiet=True)
    assert [r["error"] for r in comparison.to_json()["results"] if r["status"] == "failed"] == [
        "RuntimeError: boom"
    ] * 2
    assert Comparison(plan(), tmp_path, 3, videos=False).missing() == []


def test_a_crash_is_recorded_as_one_line_of_the_contender(tmp_path: Path) -> None:
    found = make_plan("Probe/Raises-v0", "sb3:ppo:n_steps=8:batch_size=8", steps=64)
    result = run_job(Comparison(found, tmp_path, 1, videos=False).job(found.sides[0], 0, jobs=1))
    assert result["status"] == "failed" and result["score"] is None
    assert "Probe/Raises-v0" in result["error"] and "\n" not in result["error"]


def test_random_actions_fit_the_space_and_the_mask() -> None:
    import envs

    for env in ("CartPole-v1", "Pendulum-v1", "Probe/MaskInfo-v0"):
        stream = envs.make(env, num_envs=64, seed=0)
        actor = random_policy.RandomActor(stream.spec, 64, seed=1)
        ts = stream.reset()
        action = actor.act(ts)
        assert action.shape == (64, *stream.spec.action.shape) and action.dtype == stream.spec.action.dtype
        if ts.mask is not None:
            assert ts.mask[np.arange(64), action].all()
        stream.close()


def test_times_are_recorded_only_with_one_job_at_a_time(tmp_path: Path) -> None:
    found = plan("sb3:a2c", steps=100)
    result = worker.work(Comparison(found, tmp_path, 1, videos=False).job(found.sides[0], 0, jobs=2))
    assert result["alone"] is False
    assert [result[k] for k in ("seconds", "cpu_seconds", "steps_per_second", "peak_memory")] == [None] * 4
    assert result["others"] >= 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p.write_text("x"), "is a file"),
        (lambda p: (p.mkdir(), (p / "notes.txt").write_text("x")), "holds something else"),
        (lambda p: (p.mkdir(), (p / "comparison.json").write_text('{"kind": "comparison", "schema": 7}')), "schema 7"),
    ],
)
def test_a_folder_with_other_content_is_refused_and_left_alone(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "out")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(InputError, match=words):
        compare("CartPole-v1", QUICK, steps=200, seeds=1, out=tmp_path / "out")
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_missing_ray_is_reported_before_anything_starts(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from runs import compare\n"
        f"compare('CartPole-v1', 'sb3:a2c', steps=100, seeds=1, on='ray', out={str(tmp_path / 'o')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "ludo-rl[ray]"' in done.stderr and not (tmp_path / "o").exists()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_cluster_runs_the_trainings(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason='Ray is an extra: pip install "ludo-rl[ray]"')
    found = compare(
        "CartPole-v1", "sb3:a2c,random", steps=100, seeds=2, jobs=2, on="ray", out=tmp_path / "c", videos=False
    )
    assert [len(c["scores"]) for c in found["contenders"]] == [2, 2]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_training_on_a_lost_node_is_sent_again(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason='Ray is an extra: pip install "ludo-rl[ray]"')
    from envs import EnvConfig
    from runs.recipe import Run

    flag = tmp_path / "lost"
    config = EnvConfig(options={"flag": str(flag)})
    base = Run(env="tests.runs.dying:Dying", agent=agents.config("a2c"), steps=60, env_config=config)
    found = compare(base, "a2c", seeds=2, on="ray", out=tmp_path / "c", videos=False)
    assert flag.exists(), "the node was lost"
    assert [len(c["scores"]) for c in found["contenders"]] == [2] and found["contenders"][0]["failed"] == []
    ray.shutdown()


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_sigterm_interrupts_and_sigkill_fails_the_seed(name: str, monkeypatch: Any) -> None:
    """SIGTERM may arrive before the worker has a handler. SIGKILL is usually the out-of-memory killer's."""

    class Ended:
        returncode = -int(signal.Signals[name])

        def __init__(self, *given: Any, **named: Any) -> None: ...

        def communicate(self, timeout: float | None = None) -> tuple[None, str]:
            return None, ""

    monkeypatch.setattr(subprocess, "Popen", Ended)
    job = {"contender": "dqn", "env": "CartPole-v1", "seed": 0}
    if name == "SIGTERM":
        with pytest.raises(RunError, match="was interrupted; the same command continues it"):
            run_job(job)
    else:
        assert run_job(job)["error"] == "killed by SIGKILL: out of memory?"
