import copy
import json

import numpy as np
import pytest

from rl.errors import InputError
from runs.recording.results import newest, read_results
from runs.reporting import analysis, curves, wording
from runs.reporting.analysis import analyse
from runs.reporting.pairs import pairs_of
from runs.reporting.wording import number, say, say_suits
from tests.runs.made_up import FOUR, TWO, comparison, fail


def test_a_clear_difference_is_called_better_with_its_interval() -> None:
    found = analyse(comparison())
    (pair,) = found["tasks"][0]["pairs"]
    assert (pair["a"], pair["b"], pair["verdict"], pair["level"]) == ("dqn", "sb3:dqn", "better", 0.95)
    assert 0 < pair["interval"][0] < pair["difference"] < pair["interval"][1]
    assert pair["margin"] == pytest.approx(0.05 * (found["tasks"][0]["best"] - 20))
    assert found["headline"].startswith("On CartPole-v1 after 50,000 steps, dqn is better than sb3:dqn (+")
    assert found["warnings"] == []


def test_an_agent_against_itself_is_equivalent_or_not_distinguishable() -> None:
    for spread in (0.01, 0.3):
        (pair,) = analyse(comparison(gap=0.0, spread=spread))["tasks"][0]["pairs"]
        assert pair["verdict"] in ("equivalent within the margin", "not distinguishable with this many seeds")
        assert (pair["verdict"] == "equivalent within the margin") == (spread == 0.01)


def test_the_same_data_give_the_same_numbers() -> None:
    data = comparison(FOUR)
    assert analyse(data) == analyse(copy.deepcopy(data))


def test_failed_seeds_are_kept_and_counted_as_random() -> None:
    data = comparison()
    fail(data, "dqn", 3, "RuntimeError: boom")
    found = analyse(data)
    ours = found["tasks"][0]["contenders"][0]
    assert ours["scores"][3] == 20.0 and len(ours["scores"]) == 10
    assert ours["failed"] == [{"seed": 3, "error": "RuntimeError: boom"}]
    assert found["warnings"] == ["Failed seeds, counted as the random policy's score: dqn on CartPole-v1: 1 of 10."]
    data["tasks"][0]["random"] = None
    found = analyse(data)
    assert found["tasks"][0]["contenders"][0]["scores"][3] == min(r["score"] for r in data["results"] if r["score"])
    assert "counted as the lowest score on the task" in found["warnings"][0]


def test_a_contender_that_always_crashed_is_worse_not_absent() -> None:
    data = comparison()
    for seed in range(10):
        fail(data, "sb3:dqn", seed, "crashed")
    found = analyse(data)
    assert found["tasks"][0]["contenders"][1]["iqm"] == 20.0
    assert found["tasks"][0]["pairs"][0]["verdict"] == "better"


def test_few_seeds_are_warned_of_and_one_seed_claims_nothing() -> None:
    assert analyse(comparison(seeds=9))["warnings"] == [
        "9 seeds: with fewer than 10, intervals are too narrow. Read them as a hint."
    ]
    found = analyse(comparison(seeds=1))
    (pair,) = found["tasks"][0]["pairs"]
    assert pair["interval"] is None and pair["verdict"] == "no verdict from one seed"
    assert found["tasks"][0]["contenders"][0]["interval"] is None
    assert "one seed allows no interval and no verdict" in found["headline"]
    assert found["warnings"][0].startswith("One seed")


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_from_two_to_four_seeds_it_is_said_what_the_intervals_are(seeds: int) -> None:
    data = comparison(seeds=seeds, spread=0.3)
    found = analyse(data)
    for c in found["tasks"][0]["contenders"]:
        assert c["interval"] == pytest.approx([min(c["scores"]), max(c["scores"])]), "never beyond what a game can give"
    (pair,) = found["tasks"][0]["pairs"]
    low, high = pair["interval"]
    assert -500 <= low <= high <= 500, "no difference of two scores on CartPole is larger"
    assert "interval" not in say(pair).replace("an interval needs 5", "") and f"{seeds} seeds each" in say(pair)
    share = {2: 50, 3: 75, 4: 88}[seeds]
    (said,) = found["warnings"]
    assert said.startswith(f"{seeds} seeds: with fewer than 10, intervals are a hint.")
    assert f"the span of its {seeds} scores, which holds the truth about {share}% of the time at best" in said
    assert said.endswith("That of a difference is left out; it needs 5 seeds.")
    draws = np.random.default_rng(0).normal(size=(100_000, seeds))
    assert ((draws.min(1) < 0) & (draws.max(1) > 0)).mean() == pytest.approx(share / 100, abs=0.01)


def test_one_seed_on_one_side_is_no_verdict_and_takes_none_from_the_others() -> None:
    data = comparison((("run:a", "run"), ("dqn", "ours"), ("sb3:dqn", "sb3")), seeds=3)
    data["results"] = [r for r in data["results"] if r["contender"] != "run:a" or r["seed"] == 0]
    found = analyse(data)
    told = {(p["a"], p["b"]): (p["verdict"], p["interval"] is None, p["seeds"]) for p in found["tasks"][0]["pairs"]}
    assert told["run:a", "sb3:dqn"] == told["run:a", "dqn"] == ("no verdict from one seed", True, [1, 3])
    assert told["dqn", "sb3:dqn"][1:] == (False, [3, 3])
    assert "with 1 and 3 seeds: one seed allows no interval and no verdict" in found["headline"]
    assert found["warnings"][0] == "One seed of run:a: no interval and no verdict is claimed there."
    assert found["warnings"][1].startswith("3 seeds: with fewer than 10")
    data["contenders"][2]["source"] = "ours"
    (lead,) = analyse(data)["suits"]
    assert lead["one"] and not lead["open"] and "No verdict, from one seed: " in say_suits(lead)
    for r in data["results"]:
        r["score"] += 100 * (r["contender"] == "dqn")
    found = analyse(data)
    assert found["suits"][0]["one"] == ["run:a"] and found["suits"][0]["seeds"] == 3
    assert found["headline"].endswith("better than sb3:dqn, without a verdict against run:a (one seed).")


def test_a_run_trained_before_keeps_its_own_number_of_steps() -> None:
    data = comparison((("run:a", "run"), ("sb3:dqn", "sb3"), ("random", "random")), seeds=2)
    for r in data["results"]:
        r["steps"] = {"run:a": 80_000, "sb3:dqn": 50_000, "random": 0}[r["contender"]]
    found = analyse(data)
    assert found["headline"].startswith("On CartPole-v1 after 50,000 steps (run:a: 80,000), run:a and sb3:dqn ")
    assert (
        "Not trained for the comparison's number of steps: run:a on CartPole-v1, 80,000 instead of 50,000."
        in (found["warnings"])
    )
    (task,) = found["tasks"]
    assert [c["steps"] for c in task["contenders"]] == [80_000, 50_000, None]
    assert wording.budget(task, ["run:a"]) == wording.budget(task, ["run:a", "random"]) == "80,000 steps"
    assert wording.budget(task, ["sb3:dqn", "random"]) == wording.budget(task, []) == "50,000 steps"
    task["contenders"][1]["steps"] = 60_000
    assert wording.budget(task) == "different numbers of steps (run:a: 80,000, sb3:dqn: 60,000)"
    data["contenders"], data["results"] = data["contenders"][:1], data["results"][:2]
    assert analyse(data)["headline"].endswith(" on CartPole-v1 after 80,000 steps.")


def test_pairs_hold_ours_against_peers_first_and_correct_over_them() -> None:
    pairs = analyse(comparison(FOUR))["tasks"][0]["pairs"]
    assert [(p["a"], p["b"]) for p in pairs] == [
        ("dqn", "sb3:dqn"),
        ("dqn", "zoo:dqn"),
        ("dqn", "dqn@zoo"),
        ("dqn@zoo", "sb3:dqn"),
        ("dqn@zoo", "zoo:dqn"),
    ]
    assert max(p["level"] for p in pairs) == 0.99
    peers = [{"name": "sb3:dqn", "source": "sb3"}, {"name": "zoo:dqn", "source": "zoo"}]
    assert pairs_of(peers) == [("sb3:dqn", "zoo:dqn")]
    with_random = [{"name": "random", "source": "random"}, {"name": "dqn", "source": "ours"}]
    assert pairs_of(with_random) == [("dqn", "random")]
    assert pairs_of([*with_random, *peers]) == [("dqn", "sb3:dqn"), ("dqn", "zoo:dqn")]


VARIANTS = (("mlp", "ours"), ("cnn", "ours"), ("lstm", "ours"), ("random", "random"))


def test_among_our_own_it_is_said_who_leads_on_which_task_and_who_is_worse() -> None:
    data = comparison(VARIANTS, tasks=("CartPole-v1", "Acrobot-v1"), gap=0.2, spread=0.01)
    for r in data["results"]:  # on the second task mlp and cnn change places
        if r["task"] == "Acrobot-v1" and r["contender"] in ("mlp", "cnn"):
            r["contender"] = {"mlp": "cnn", "cnn": "mlp"}[r["contender"]]
    found = analyse(data)
    first, second = found["suits"]
    assert (first["best"], sorted(first["worse"]), second["best"]) == ("mlp", ["cnn", "lstm"], "cnn")
    assert say_suits(first) == f"CartPole-v1: mlp scored highest (IQM {number(first['iqm'])}). Worse: cnn, lstm."
    leads = [
        f"{lead['best']} on {lead['env']} ({number(lead['iqm'])}), better than {', '.join(lead['worse'])}"
        for lead in (first, second)
    ]
    assert sorted(second["worse"]) == ["lstm", "mlp"]
    assert found["headline"] == f"Highest score: {'; '.join(leads)}."
    assert analyse(comparison(FOUR))["suits"] == [], "peers are not held against each other"


def test_a_lead_that_the_seeds_do_not_support_is_no_lead() -> None:
    few = analyse(comparison(VARIANTS, gap=0.01, spread=0.3, seeds=3))
    (lead,) = few["suits"]
    assert lead["worse"] == [] and len(lead["open"]) == 2
    assert "Not distinguishable with 3 seeds: " in say_suits(lead)
    assert "not distinguishable from" in few["headline"] and "none of" not in few["headline"]
    same = analyse(comparison(VARIANTS, gap=0.0, spread=0.001))["suits"][0]
    assert len(same["equivalent"]) == 2 and "Equivalent within the margin: " in say_suits(same)
    alone = analyse(comparison(VARIANTS, gap=0.5, seeds=1))
    (one,) = alone["suits"]
    assert one["worse"] == one["open"] == [] and "No verdict, from one seed: cnn, lstm." in say_suits(one)
    assert alone["headline"].endswith("from one seed, which allows no verdict.")
    data = comparison(VARIANTS)
    data["results"] = []
    assert say_suits(analyse(data)["suits"][0]) == "CartPole-v1: no training has finished yet."


def test_only_declared_variants_with_the_same_seeds_are_paired() -> None:
    data = comparison(FOUR)
    data["paired"] = [["dqn@zoo", "dqn"]]
    assert [p["paired"] for p in analyse(data)["tasks"][0]["pairs"]] == [False, False, True, False, False]
    data["results"] = [r for r in data["results"] if not (r["contender"] == "dqn" and r["seed"] == 0)]
    assert not any(p["paired"] for p in analyse(data)["tasks"][0]["pairs"])


def test_times_come_only_from_trainings_that_had_the_machine_to_themselves() -> None:
    timed = analyse(comparison())["tasks"][0]["contenders"][1]
    assert (timed["steps_per_second"], timed["seconds"], timed["peak_memory"]) == (2100.0, 25.0, 300 * 2**20)
    assert timed["clock"] is not None
    shared = analyse(comparison(alone=False))
    c = shared["tasks"][0]["contenders"][1]
    assert [c[k] for k in ("steps_per_second", "seconds", "cpu_seconds", "peak_memory", "clock")] == [None] * 5
    assert "20 of 20 trainings shared the machine" in shared["warnings"][0]


def test_time_to_goal_is_the_median_run_that_got_there() -> None:
    found = analyse(comparison(gap=0.3, spread=0.001))["tasks"][0]
    ours, theirs = (c["reach"] for c in found["contenders"])
    assert found["goal"] == 475.0  # solved, because somebody got there
    assert ours["runs"] == 10 and ours["seconds"] == pytest.approx(ours["steps"] / 2500)
    assert (theirs["runs"], theirs["steps"], theirs["seconds"]) == (0, None, None)


def test_several_tasks_are_joined_on_the_normalised_scale() -> None:
    found = analyse(comparison(FOUR, tasks=("A-v0", "B-v0", "C-v0")))
    aggregate = found["aggregate"]
    assert [c["name"] for c in aggregate["contenders"]] == [name for name, _ in FOUR]
    iqms = [c["iqm"] for c in aggregate["contenders"]]
    assert iqms == sorted(iqms, reverse=True) and iqms[0] == pytest.approx(1.0, abs=0.05)
    assert aggregate["pairs"][0]["margin"] == 0.05
    assert all(a >= b for a, b in zip(aggregate["profiles"][0]["middle"], aggregate["profiles"][0]["middle"][1:]))
    assert found["headline"].startswith("Over 3 tasks, dqn is better than sb3:dqn (+")
    assert analyse(comparison())["aggregate"] is None


def test_over_several_tasks_too_only_the_same_seeds_are_paired() -> None:
    data = comparison(FOUR, tasks=("A-v0", "B-v0"), seeds=4)
    data["paired"] = [["dqn@zoo", "dqn"]]

    def paired() -> list[bool]:
        return [p["paired"] for p in analyse(data)["aggregate"]["pairs"] if {p["a"], p["b"]} == {"dqn", "dqn@zoo"}]

    assert paired() == [True]
    for r in data["results"]:
        if r["contender"] == "dqn@zoo" and r["seed"] == 3 and r["task"] == data["results"][0]["task"]:
            r["seed"] = 4
    assert paired() == [False]


def test_atari_is_human_normalised() -> None:
    data = comparison(TWO, tasks=("ALE/Breakout-v5", "ALE/Pong-v5"))
    found = analyse(data)
    breakout = found["tasks"][0]["contenders"][0]
    assert breakout["human"] == pytest.approx((breakout["iqm"] - 1.7) / 28.8)
    assert found["aggregate"]["human"] and "human" in found["aggregate"]["scale"]


def test_the_flat_form_is_what_compare_prints() -> None:
    found = analysis.flat(analyse(comparison(FOUR, tasks=("A-v0", "B-v0"))))
    assert len(found["contenders"]) == 8 and len(found["pairs"]) == 10
    assert {"scores", "iqm", "interval", "steps_per_second", "seconds", "peak_memory"} <= set(found["contenders"][0])
    assert {"difference", "interval", "verdict"} <= set(found["pairs"][0])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema 2, this version reads 1"),
        ({"kind": "run"}, "is no comparison"),
        ({"results": None}, "'results' must be a list"),
        ({"tasks": []}, "at least one task"),
        ({"results": [{"contender": "dqm", "task": "CartPole-v1", "seed": 0}]}, "contender 'dqm', which is not listed"),
        (
            {"results": [{"contender": "dqn", "task": "CartPole-v1", "seed": 0, "status": "ok", "score": None}]},
            "dqn seed 0 on CartPole-v1 is ok, but its score is None",
        ),
    ],
)
def test_a_damaged_comparison_is_refused_in_one_line(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        analyse({**comparison(), **change})
    assert "\n" not in str(caught.value)


def test_a_result_is_counted_once() -> None:
    data = comparison()
    data["results"].append(data["results"][0])
    with pytest.raises(InputError, match="dqn seed 0 on CartPole-v1 is listed twice"):
        analyse(data)


def test_nothing_finished_yet_says_so() -> None:
    data = comparison()
    data["results"] = []
    found = analyse(data)
    assert found["headline"] == "No training has finished yet."
    assert found["warnings"] == ["No result yet: dqn on CartPole-v1, sb3:dqn on CartPole-v1."]


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (None, "–"),
        (0, "0"),
        (-0.001, "−0.001"),
        (1234567.8, "1,234,568"),
        (99.96, "100"),
        (12.34, "12.3"),
        (-20.7, "−20.7"),
    ],
)
def test_numbers_for_people(x: float | None, text: str) -> None:
    assert number(x) == text


def test_sentences_say_what_is_needed() -> None:
    pair = {
        "a": "dqn",
        "b": "sb3:dqn",
        "seeds": [10, 10],
        "difference": 3.0,
        "interval": [-4.0, 10.0],
        "level": 0.95,
        "margin": 5.0,
        "verdict": "not distinguishable with this many seeds",
        "more_seeds": 12,
    }
    assert say(pair) == (
        "dqn and sb3:dqn are not distinguishable with this many seeds (+3, 95% interval −4 to 10, 10 seeds each). "
        "About 12 more seeds each would give a verdict, if difference and spread stay the same."
    )
    assert "(+3, 10 and 3 seeds; an interval needs 5)." in say({**pair, "seeds": [10, 3]})
    lost = say({**pair, "lost": ["sb3:dqn"]})
    assert lost == "dqn and sb3:dqn cannot be compared: every training of sb3:dqn failed."
    assert say({**pair, "more_seeds": -1}).endswith("More than 1,000 further seeds would be needed for a verdict.")
    assert say({**pair, "verdict": "equivalent within the margin"}).startswith(
        "dqn and sb3:dqn are equivalent within the margin of 5"
    )


def test_a_run_evaluated_at_its_end_only_does_not_say_when_it_came_to_the_goal() -> None:
    whole = {"steps": [10, 20], "seconds": [], "scores": [500.0, 500.0], "alone": False}
    last = whole | {"steps": [20], "scores": [500.0]}
    assert curves.time_to_goal([whole, whole], 475.0) == {"runs": 2, "of": 2, "steps": 10.0, "seconds": None}
    assert curves.time_to_goal([whole, last], 475.0) is None, "it may have been there before, and not any more"


def test_a_run_evaluated_at_its_end_only_is_left_out_of_the_curve_and_that_is_said() -> None:
    data = comparison()
    whole = analyse(data)["tasks"][0]["contenders"][0]
    for r in data["results"][:4]:
        r["curve"] = [[50_000, r["curve"][-1][1], 20.0]]
    found = analyse(data)
    c = found["tasks"][0]["contenders"][0]
    assert c["curve"]["x"] == whole["curve"]["x"], "from the first evaluation on, not the end alone"
    assert min(c["curve"]["low"]) > 20 and c["reach"] is None and c["iqm"] == whole["iqm"]
    (said,) = found["warnings"]
    assert said == "Evaluated at the end only, and therefore left out of the curves: dqn on CartPole-v1: 4 of 10."
    for r in data["results"][:10]:
        r["curve"] = r["curve"][-1:]
    found = analyse(data)
    assert found["tasks"][0]["contenders"][0]["curve"]["x"][0] == 50_000 and found["warnings"] == [], "a point is all"


def test_times_are_of_all_seeds_or_of_none() -> None:
    data = comparison(gap=0.3, spread=0.001)
    whole = analyse(data)["tasks"][0]["contenders"][0]
    assert whole["timed"] == 10 and whole["reach"]["seconds"] is not None
    for r in data["results"][:2]:  # recorded on this machine, evaluated on the way: when is not known
        r["curve"] = [[step, None, score] for step, _, score in r["curve"]]
    found = analyse(data)["tasks"][0]["contenders"][0]
    assert found["reach"] == whole["reach"] | {"seconds": None} and found["clock"] is None
    assert found["curve"] == whole["curve"]


def test_where_nobody_beats_random_there_is_no_goal() -> None:
    data = comparison(spread=0.0)
    for r in data["results"]:
        r.update(score=20.0, returns=[20.0] * 20, curve=[[step, s, 20.0] for step, s, _ in r["curve"]])
    task = analyse(data)["tasks"][0]
    assert task["goal"] is None and [c["reach"] for c in task["contenders"]] == [None, None]
    data["tasks"][0]["threshold"] = 15.0
    assert analyse(data)["tasks"][0]["goal"] == 15.0, "random play solves it"


def test_a_failed_seed_never_came_to_the_goal_and_pulls_the_curve_down() -> None:
    data = comparison(gap=0.3, spread=0.001)
    whole = analyse(data)["tasks"][0]["contenders"][0]
    for seed in range(6):
        fail(data, "dqn", seed, "boom")
    found = analyse(data)["tasks"][0]["contenders"][0]
    assert whole["curve"]["middle"][-1] == pytest.approx(whole["iqm"], rel=0.01)
    assert found["curve"]["middle"][-1] == pytest.approx(found["iqm"], rel=0.01), (
        "the table's IQM, failed seeds at random's"
    )
    assert (found["reach"]["runs"], found["reach"]["of"], found["reach"]["steps"]) == (4, 10, None)


def test_only_trainings_that_are_known_to_have_shared_the_machine_are_said_to_have() -> None:
    data = comparison((*TWO, ("run:a", "run"), ("random", "random")))
    for r in data["results"]:
        evaluated = r["contender"] in ("run:a", "random")
        r.update(alone=not evaluated, others=0.5 if evaluated else 0.0)
    assert analyse(data)["warnings"] == [], "an evaluation has no times to leave blank"
    ours = [r for r in data["results"] if r["contender"] == "dqn"]
    ours[0].update(alone=False, others=0.2)
    ours[1].update(alone=False, others=0.0, jobs=2)
    ours[2].update(alone=False, others=None, jobs=1)
    shared, unknown = analyse(data)["warnings"]
    assert shared.startswith("2 of 20 trainings shared the machine with other work")
    assert unknown.startswith("1 of 20 trainings have no times")


def test_trainings_by_more_than_one_commit_are_named() -> None:
    data = comparison()
    for r in data["results"]:
        r["commit"] = "a" * 40
    assert analyse(data)["warnings"] == []
    data["results"][0]["commit"] = "b" * 40 + "+"
    assert analyse(data)["warnings"] == ["Trained by more than one commit: dqn by aaaaaaa, bbbbbbb+."]


def test_seeds_that_agree_by_chance_are_not_more_certain_than_their_games_allow() -> None:
    data = comparison((("mlp", "ours"), ("gru", "ours")), seeds=2)
    for r in data["results"]:  # guessers: right 55 and 45 times of 100 games, twice each
        right = {"mlp": 55, "gru": 45}[r["contender"]]
        r.update(score=right / 100, returns=[1.0] * right + [0.0] * (100 - right))
    data["tasks"][0]["random"] = 0.5
    (pair,) = analyse(data)["tasks"][0]["pairs"]
    error = (2 * 0.55 * 0.45 / 99 / 2) ** 0.5  # two means over 2 x 100 games
    assert pair["interval"][1] - pair["interval"][0] == pytest.approx(2 * 4.302653 * error, rel=1e-4), "t, 2 degrees"
    assert pair["verdict"] == "not distinguishable with this many seeds"
    for r in data["results"]:
        r["returns"] = [r["score"]] * 100
    assert analyse(data)["tasks"][0]["pairs"][0]["verdict"] == "better", "games that are all the same leave no doubt"


def test_twenty_comparisons_of_a_recorded_agent_with_itself_find_at_most_two_differences() -> None:
    rng, words = np.random.default_rng(0), []
    for recipe in ("cartpole_dqn", "cartpole_ppo"):
        scores = [r["score"] for r in newest(read_results(recipe=recipe))]
        assert len(scores) == 10
        for _ in range(10):  # five of its seeds against the other five
            data = comparison((("one half", "ours"), ("the other", "ours")), seeds=5)
            for r, k in zip(data["results"], rng.permutation(10), strict=True):
                r.update(score=scores[k]["mean"], returns=scores[k]["returns"])
            words.append(analyse(data)["tasks"][0]["pairs"][0]["verdict"])
    assert len(words) == 20 and sum(word in ("better", "worse") for word in words) <= 2


def test_a_small_number_is_not_nothing() -> None:
    assert (number(1e-5), number(-2.5e-7), number(0.0), number(0.0003)) == ("1e−05", "−2.5e−07", "0", "0.0003")


def test_a_contender_of_which_nothing_came_is_named_first() -> None:
    data = comparison(VARIANTS)
    lost = data["contenders"][0]["name"]
    for r in data["results"]:
        if r["contender"] == lost:
            r.update(status="failed", error="boom", score=None, returns=[], curve=[])
    said = analyse(data)["headline"]
    assert said.startswith(f"Every training of {lost} on ") and " failed and has no score of its own. " in said


def test_a_single_agent_on_atari5_has_human_normalised_scores_and_the_estimate_of_57_games() -> None:
    games = {"BattleZone": 37187.5, "DoubleDunk": -16.4, "NameThisGame": 8049.0, "Phoenix": 7242.6, "Qbert": 13455.0}
    tasks = [{"env": f"ALE/{name}-v5", "steps": 100} for name in reversed(games)]
    results = [
        {"contender": "dqn", "task": f"ALE/{name}-v5", "seed": seed, "status": "ok", "score": human, "returns": [human]}
        for name, human in games.items()
        for seed in (0, 1)
    ]
    contenders = [{"name": "dqn", "tasks": {}}]
    found = analyse({"schema": 1, "kind": "comparison", "tasks": tasks, "contenders": contenders, "results": results})
    assert [c["human"] for task in found["tasks"] for c in task["contenders"]] == [1.0] * 5
    (overall,) = found["aggregate"]["contenders"]
    assert overall["iqm"] == 1.0 and overall["atari5"] == pytest.approx((101**0.96531 - 1) / 100)
    two = {"tasks": tasks[:2], "results": [r for r in results if r["task"] in (tasks[0]["env"], tasks[1]["env"])]}
    found = analyse({"schema": 1, "kind": "comparison", "contenders": contenders, **two})
    assert "atari5" not in found["aggregate"]["contenders"][0], "only the five games together estimate the 57"
