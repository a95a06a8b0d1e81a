import csv
import json
import re
import time
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl.errors import InputError, RunError
from runs.cli import command_line as cli
from runs.reporting import comparison_page
from runs.reporting import report as rp
from runs.reporting.charts import COLOURS, dashes, line_chart, short, ticks
from runs.reporting.page import embed
from tests.runs.made_up import FOUR, comparison, fail
from tests.runs.reporting import chromium


def write(folder: Path, data: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.json").write_text(json.dumps(data))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it: four contenders, two tasks, a failed seed with markup in its error, videos."""
    folder = tmp_path_factory.mktemp("comparison")
    data = comparison(FOUR, tasks=("CartPole-v1", "Acrobot-v1"))
    data["results"][3].update(status="failed", error="boom <script>alert(1)</script>", score=None, curve=[])
    data["videos"] = [
        {"contender": name, "task": "CartPole-v1", "seed": 0, "file": f"videos/{k}.webm"}
        for k, name in enumerate(["dqn", "sb3:dqn"])
    ]
    films(folder / "videos")
    rp.report(write(folder, data))
    return folder


def films(folder: Path) -> None:
    import cv2

    folder.mkdir()
    for k in range(2):
        writer = cv2.VideoWriter(str(folder / f"{k}.webm"), cv2.VideoWriter.fourcc(*"VP80"), 15, (64, 48))
        for shade in range(0, 250, 10):
            writer.write(np.full((48, 64, 3), shade, np.uint8))
        writer.release()


class Links(HTMLParser):
    """Everything a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "poster", "srcset")]


def test_the_page_is_one_file_that_fetches_nothing(page: Path) -> None:
    html = (page / "report.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(html)
    assert links.found and all(link.startswith("data:") for link in links.found)
    assert "@import" not in html and "url(" not in html
    without_videos = re.sub(r"data:video/webm;base64,[A-Za-z0-9+/=]*", "", html)
    assert len(without_videos.encode()) <= comparison_page.LIMIT and len(html) > len(without_videos)


def test_the_raw_data_come_back_out_of_the_page(page: Path) -> None:
    html = (page / "report.html").read_text(encoding="utf-8")
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert text
    assert json.loads(text[1]) == json.loads((page / "comparison.json").read_text())


def test_text_from_outside_is_never_markup(page: Path) -> None:
    html = (page / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "boom &lt;script&gt;alert(1)" in html
    assert embed({"a": "</script>\u2028"}) == '{"a":"\\u003c/script>\\u2028"}'


def test_a_name_from_outside_is_escaped_in_tables_charts_and_legend(tmp_path: Path) -> None:
    name = '<b onclick="x">a|b</b>'
    rp.report(write(tmp_path, comparison(((name, "ours"), ("sb3:dqn", "sb3")), seeds=3)))
    html, md = ((tmp_path / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    page = re.sub(r"<script type=.*?</script>", "", html, flags=re.S)
    assert "<b" not in page.replace("<body", "").replace("<button", "")
    assert 'data-contender="&lt;b onclick=&#34;x&#34;&gt;a|b&lt;/b&gt;"' in page
    rows = [line for line in md.splitlines() if line.startswith("| <b onclick")]
    assert len(rows) >= 4 and all(line.startswith(r'| <b onclick="x">a\|b</b> ') for line in rows)


def test_markdown_says_the_same(page: Path) -> None:
    html, md = (page / "report.html").read_text(encoding="utf-8"), (page / "report.md").read_text(encoding="utf-8")
    for heading in re.findall(r"<h[23]>(.*?)</h[23]>", html):
        assert f"# {heading}" in md
    cells = [re.sub(r"<[^>]+>", "", c) for c in re.findall(r"<td[^>]*>(.*?)</td>", html)]
    assert len(cells) > 300
    for cell in cells:
        assert unescape(cell) in md.replace("`", "")
    assert "[dqn, CartPole-v1, seed 0](videos/0.webm)" in md
    assert "rl compare CartPole-v1 --agents dqn,sb3:dqn" in md


def test_what_could_not_be_mapped_stands_beside_the_hyperparameters(page: Path) -> None:
    md = (page / "report.md").read_text(encoding="utf-8")
    assert "| `lr` | 0.001 | 0.002 | 0.003 | 0.004 |" in md
    assert "- sb3:dqn: max_grad_norm=10 has no counterpart" in md
    assert "- dqn: recipe cartpole-dqn" in md


@pytest.mark.full
def test_a_matrix_of_26_games_stays_below_three_megabytes(tmp_path: Path) -> None:
    data = comparison(FOUR, tasks=tuple(f"Game{k}-v0" for k in range(26)), points=60)
    rp.report(write(tmp_path, data))
    assert (tmp_path / "report.html").stat().st_size <= comparison_page.LIMIT
    assert '"thinned":"curves thinned to' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_blank_times_leave_no_empty_columns(tmp_path: Path) -> None:
    rp.report(write(tmp_path, comparison(alone=False)))
    md = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| contender | reached goal | steps to goal |" in md
    assert "steps/s" not in md and "their times, speed and memory are left blank" in md


def test_the_page_says_what_its_cpu_seconds_hold_and_which_commits_trained(tmp_path: Path) -> None:
    data = comparison()
    for r in data["results"]:
        r["commit"] = ("a" if r["seed"] else "b") * 40
    rp.report(write(tmp_path, data))
    md = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "CPU in all: of the whole process, evaluations and film too" in md
    assert "| trained by | aaaaaaa, bbbbbbb |" in md


def test_a_comparison_without_results_has_a_page(tmp_path: Path) -> None:
    data = comparison()
    data["results"] = []
    assert rp.report(write(tmp_path, data))["verdict"] == "No training has finished yet."


def test_one_seed_and_failed_seeds_have_a_page(tmp_path: Path) -> None:
    data = comparison(seeds=1)
    fail(data, "dqn", 0, "crashed")
    assert "cannot be compared: every training of dqn failed" in rp.report(write(tmp_path, data))["verdict"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "is neither a comparison .* nor a run"),
        ({"comparison.json": "{}"}, "is no comparison"),
        ({"comparison.json": '{"kind": "comparison", "schema": 9}'}, "schema 9, this version reads 1"),
        ({"run.json": "{}"}, "from another version"),
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        rp.report(tmp_path)
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(InputError, match="there is no folder"):
        rp.report(tmp_path / "nowhere")


def test_a_full_disk_keeps_the_page_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, comparison())
    (tmp_path / "report.html").write_text("the old page")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    import os

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="(?i)space|full"):
        rp.report(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "report.html").read_text() == "the old page"


def test_a_video_outside_the_folder_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret.webm").write_bytes(b"x")
    data = comparison()
    data["videos"] = [{"contender": "dqn", "task": "CartPole-v1", "seed": 0, "file": "../secret.webm"}]
    rp.report(write(tmp_path / "c", data))
    assert "Rollouts" not in (tmp_path / "c" / "report.md").read_text(encoding="utf-8")


def test_tables_are_plain_numbers_for_trackers() -> None:
    from runs.reporting.analysis import analyse

    tables = rp.tables(analyse(comparison(FOUR)))
    for columns, rows in tables.values():
        assert rows and all(len(row) == len(columns) for row in rows)
    assert tables["verdicts"][1][0][-2] == "better"


def test_the_tables_reach_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    rp.report(write(tmp_path, comparison(seeds=2)), track="offline")
    (saved,) = (tmp_path / "wandb").glob("offline-run-*")
    media = sorted(p.name.split("_")[0] for p in (saved / "files" / "media").rglob("*") if p.is_file())
    assert media == ["report", "scores", "verdicts"]
    (table,) = (saved / "files" / "media" / "table").glob("verdicts*")
    row = json.loads(table.read_text())
    assert row["columns"][:3] == ["task", "a", "b"] and row["data"][0][:3] == ["CartPole-v1", "dqn", "sb3:dqn"]


def test_a_single_run_has_its_own_page(tmp_path: Path) -> None:
    recipe = {"env": "CartPole-v1", "agent": {"name": "dqn", "lr": 1e-3}, "steps": 3000, "seed": 4}
    (tmp_path / "run.json").write_text(json.dumps({"recipe": recipe, "command": ["rl", "train", "CartPole-v1"]}))
    lines: dict[str, list[dict[str, Any]]] = {
        "metrics": [
            {"step": s, "seconds": s / 1000, "train/loss": 1 / s, "train/odd": None} for s in (1000, 2000, 3000)
        ],
        "episodes": [{"step": 10 * k, "return": float(k)} for k in range(1, 300)],
        "evaluations": [{"step": s, "returns": [s / 10, s / 20], "lengths": [1, 1]} for s in (1000, 2000, 3000)],
    }
    for name, rows in lines.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = rp.report(tmp_path)
    assert (
        found["verdict"] == "dqn scored 225 on CartPole-v1 after 3,000 steps (mean of 2 games, 150 to 300; one seed)."
    )
    md = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| loss |" in md and "train/odd" not in md and "| `agent.lr` | 0.001 |" in md
    assert "no interval can be claimed" in md and "rl train CartPole-v1" in md


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 500, [0, 100, 200, 300, 400, 500]), (-0.04, 1.04, [0, 0.25, 0.5, 0.75, 1]), (3, 3, [3])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


# In a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Chromium]:
    if not chromium.AVAILABLE:
        pytest.skip(chromium.REASON)
    with chromium.Chromium() as opened:
        yield opened


def place(browser: chromium.Chromium, selector: str) -> list[float]:
    box = f"document.querySelector({json.dumps(selector)})"
    browser.js(f"{box}.scrollIntoView({{block: 'center'}})")
    return browser.js(f"(() => {{ const r = {box}.getBoundingClientRect(); return [r.x, r.y, r.width, r.height] }})()")


CURVE = 'figure[data-chart="curve CartPole-v1"]'


@pytest.mark.parametrize(
    ("width", "dark", "kind"), [(1100, False, ""), (1100, True, ""), (375, False, ""), (800, False, "print")]
)
def test_it_opens_without_a_console_error_or_a_request(
    browser: chromium.Chromium, page: Path, width: int, dark: bool, kind: str
) -> None:
    browser.problems.clear()
    browser.requests.clear()
    browser.resize(width, 800, mobile=width < 500)
    browser.media(kind, dark)
    browser.open(page / "report.html")
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [(page / "report.html").as_uri()]
    assert browser.js("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"
    paper = browser.js("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 27)" if dark and not kind else "rgb(255, 255, 255)")
    assert (browser.js("getComputedStyle(document.querySelector('#theme').parentNode).display") == "none") == (
        kind == "print"
    )
    browser.media()


def test_the_tables_of_eight_contenders_take_the_windows_width_and_do_not_scroll(
    browser: chromium.Chromium, tmp_path: Path
) -> None:
    eight = tuple((f"variant number {k}", "ours") for k in range(8))
    rp.report(write(tmp_path, comparison(eight, tasks=("CartPole-v1", "Acrobot-v1"), seeds=6)))
    browser.resize(1600, 900)
    browser.open(tmp_path / "report.html")
    widths = browser.js("[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth])")
    assert max(need for need, _ in widths) > 1080, "one table is wider than the text"
    assert [(need, shown) for need, shown in widths if need > shown] == []
    assert browser.js("document.documentElement.scrollWidth") == 1600
    browser.resize(1100, 900)


@pytest.mark.parametrize("dark", [False, True])
def test_its_colours_can_be_read(browser: chromium.Chromium, page: Path, dark: bool) -> None:
    browser.media(dark=dark)
    browser.open(page / "report.html")
    paper = luminance(browser.js("getComputedStyle(document.body).backgroundColor"))
    for selector, least in [("p", 7), (".quiet, .caption", 4.5), (".word.better", 4.5), (".series .middle", 3)]:
        what = "stroke" if "series" in selector else "color"
        ink = luminance(browser.js(f"getComputedStyle(document.querySelector('{selector}')).{what}"))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= least, f"{selector}: {contrast:.1f}"
    browser.media()


def luminance(colour: str) -> float:
    """WCAG's, of `rgb(r, g, b)`."""
    r, g, b = (int(v) / 255 for v in re.findall(r"\d+", colour)[:3])
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (r, g, b)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_hovering_shows_the_values_of_the_contenders_shown(browser: chromium.Chromium, page: Path) -> None:
    browser.resize(1100, 900)
    browser.open(page / "report.html")
    x, y, width, height = place(browser, f"{CURVE} svg")
    browser.move(x + 0.6 * width, y + 0.5 * height)
    lines = browser.js(f"document.querySelector('{CURVE} .tip').innerText").split("\n")
    assert re.match(r"2\d,\d{3} steps", lines[0])
    assert [line.split(" ")[0] for line in lines[1:]] == [name for name, _ in FOUR]
    assert re.match(r"dqn \d{3} \(\d{3} to \d{3}\)", lines[1])
    browser.click('input[data-contender="dqn"]')
    assert (
        browser.js(
            '[...document.querySelectorAll("g.series")].filter(g => g.dataset.name === "dqn" && '
            'getComputedStyle(g).display !== "none").length'
        )
        == 0
    )
    x, y, width, height = place(browser, f"{CURVE} svg")
    browser.move(x + 0.3 * width, y + 0.5 * height)
    assert "dqn " not in browser.js(f"document.querySelector('{CURVE} .tip').innerText").replace("3:dqn", "").replace(
        "o:dqn", ""
    )
    browser.click('input[data-contender="dqn"]')
    browser.move(1, 1)
    assert browser.js("document.querySelectorAll('.tip').length") == 0


def test_hovering_near_a_single_point_shows_its_value(browser: chromium.Chromium, tmp_path: Path) -> None:
    rp.report(write(tmp_path, comparison(points=1, seeds=2)))
    browser.resize(1100, 900)
    browser.open(tmp_path / "report.html")
    x, y, width, height = place(browser, f"{CURVE} svg")
    for share, shown in ((0.8, 2), (0.5, 0)):
        browser.move(x + width * (52 + share * 378) / 440, y + 0.5 * height)
        lines = browser.js(f"document.querySelector('{CURVE} .tip').innerText").strip().split("\n")
        assert [line.split(" ")[0] for line in lines[1:]] == ["dqn", "sb3:dqn"][:shown]
    assert browser.problems == []


def test_seeds_and_theme_can_be_switched(browser: chromium.Chromium, page: Path) -> None:
    browser.open(page / "report.html")
    shown = f"getComputedStyle(document.querySelector('{CURVE} .run')).display"
    assert browser.js(shown) == "none"
    browser.click("input[data-runs]")
    assert browser.js(shown) == "inline"
    browser.click("#theme")
    assert browser.js("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    browser.click("#theme")
    assert browser.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.problems == []


def test_the_data_can_be_downloaded(browser: chromium.Chromium, page: Path, tmp_path: Path) -> None:
    browser.downloads(tmp_path)
    browser.open(page / "report.html")
    browser.click("#save-json")
    browser.click("#save-csv")
    original = json.loads((page / "comparison.json").read_text())
    assert json.loads(downloaded(tmp_path / "comparison.json")) == original
    rows = list(csv.DictReader(downloaded(tmp_path / "comparison.csv").splitlines()))
    assert len(rows) == sum(len(r["curve"]) + 1 for r in original["results"])
    finals = {(r["contender"], r["task"], int(r["seed"])): r["score"] for r in rows if r["kind"] == "final"}
    assert float(finals["zoo:dqn", "Acrobot-v1", 9]) == original["results"][-1]["score"]
    assert finals["dqn", "CartPole-v1", 3] == ""


def downloaded(path: Path) -> str:
    for _ in range(100):
        if path.exists() and path.stat().st_size:
            return path.read_text()
        time.sleep(0.1)
    raise TimeoutError(path)


def test_its_videos_play(browser: chromium.Chromium, page: Path) -> None:
    browser.open(page / "report.html")
    play = (
        "(async () => { const v = document.querySelector('video'); await v.play(); return [v.videoWidth, v.error] })()"
    )
    assert browser.js(play) == [64, None]


def test_it_prints_on_paper(browser: chromium.Chromium, page: Path, tmp_path: Path) -> None:
    browser.open(page / "report.html")
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert browser.problems == []


def test_the_page_of_a_run_opens_too(browser: chromium.Chromium, tmp_path: Path) -> None:
    test_a_single_run_has_its_own_page(tmp_path)
    browser.open(tmp_path / "report.html")
    assert browser.js("document.querySelectorAll('figure svg path.middle').length") == 3
    assert browser.problems == []


def test_one_seed_is_said_to_allow_no_verdict_once_not_for_each_pair(tmp_path: Path) -> None:
    rp.report(write(tmp_path, comparison(FOUR, seeds=1)))
    text = (tmp_path / "report.md").read_text()
    assert text.count("No pair has an interval or a verdict: each has a side with one seed.") == 1
    assert text.count("one seed allows no interval and no verdict") == 1, "the headline's"
    rows = [line for line in text.splitlines() if "none from one seed" in line]
    assert len(rows) > 1 and all(line.endswith(" | none from one seed | – | – | – |") for line in rows)
    assert all("| no verdict from one seed |" in line for line in rows) and "not distinguishable |" not in text
    assert "with this many seeds |" not in text, "the table says what the text says"


def test_the_steps_of_a_run_trained_before_stand_wherever_steps_are_claimed(tmp_path: Path) -> None:
    data = comparison((("run:a", "run"), ("dqn", "ours"), ("ppo", "ours")), seeds=2)
    for r in data["results"]:
        r["steps"] = 80_000 if r["contender"] == "run:a" else 50_000
    rp.report(write(tmp_path, data))
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        text = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.S)
        assert "CartPole-v1 after 50,000 steps (run:a: 80,000)" in text
        assert "CartPole-v1, 50,000 steps (run:a: 80,000)" in text
        assert "run:a on CartPole-v1, 80,000 instead of 50,000" in text
        said = [text[m.end() : m.end() + 16] for m in re.finditer("50,000 steps", text)]
        assert said == [" (run:a: 80,000)"] * len(said) and len(said) == 2


def test_a_curve_of_one_point_is_a_dot_with_axes_that_say_something() -> None:
    points = [
        {"name": "dqn", "colour": 0, "x": [3000], "middle": [200.0], "low": [100.0], "high": [300.0]},
        {"name": "ppo", "colour": 1, "x": [3000], "middle": [250.0], "runs": [([3000], [250.0])]},
    ]
    svg = line_chart("c", points, "steps", "score", [(20.0, "random")])
    assert svg.count('class="dot" cx="354.4"') == 2 and svg.count('class="whisker"') == 1
    assert 'class="run" cx="354.4"' in svg and 'class="middle"' not in svg
    shown = re.findall(r'text-anchor="(?:middle|end)">([\d.]+)</text>', svg)
    assert shown == ["100", "200", "300", "0", "1000", "2000", "3000"]
    assert [float(y) for y in re.findall(r'class="dot" cx="354.4" cy="([\d.]+)"', svg)] == pytest.approx(
        [94.6, 56.5], abs=0.1
    )
    line = {"name": "a2c", "colour": 2, "x": [1000, 4000], "middle": [20.0, 400.0]}
    svg = line_chart("c", [*points, line], "steps", "score")
    assert svg.count('class="dot"') == 2 and svg.count('class="middle"') == 1
    assert '"x0":1000' in svg and '"x1":4000' in svg
    alone = line_chart("c", [{"name": "dqn", "colour": 0, "x": [0], "middle": [0.0]}], "steps", "score")
    assert 'class="dot"' in alone and "nan" not in alone


def test_one_evaluation_makes_a_page_with_its_dots_and_a_table_that_has_them(tmp_path: Path) -> None:
    data = comparison(points=1, seeds=2)
    rp.report(write(tmp_path, data))
    md = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| steps | 50,000 |\n|:--|--:|\n| dqn | " in md
    for r in data["results"][:2]:
        r["curve"] = [[10_000, 4.0, 100.0], [40_000, 16.0, 400.0]]
    rp.report(write(tmp_path, data))
    md = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| steps | 10,000 | 20,000 | 30,000 | 40,000 | 50,000 |" in md
    assert "| dqn | 100 | 200 | 300 | 400 | – |" in md and "| sb3:dqn | – | – | – | – | " in md


def test_no_two_of_sixty_contenders_have_the_same_colour_and_dash() -> None:
    assert len({(k % COLOURS, dashes(k)) for k in range(60)}) == 60


def _tabled(markdown: str, below: str) -> dict[str, list[str]]:
    """The first table below a line of a page's Markdown, by its first column."""
    blocks = markdown.split(f"\n{below}\n")[1].split("\n\n")
    lines = next(block for block in blocks if block.lstrip().startswith("|")).strip().splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_the_table_below_a_curve_holds_what_was_measured(tmp_path: Path) -> None:
    made = comparison(seeds=3)
    for result in made["results"]:  # uneven evaluations, with a dip at one that an even grid would step over
        scores = {1_000: 10.0, 13_331: 20.0, 20_777: 400.0, 33_331: 40.0, 50_000: 50.0}
        result["curve"] = [[step, step / 1000, score] for step, score in scores.items()]
    rp.report(write(tmp_path, made))
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    table = _tabled(page, "Score by environment steps, IQM over seeds")
    assert table["steps"] == ["1,000", "13,331", "20,777", "33,331", "50,000"]
    assert table["dqn"] == ["10", "20", "400", "40", "50"]
    assert "Interpolated" not in page
    clock = _tabled(page, "Score by training time, IQM over seeds")
    assert clock["training time"] == ["10 s", "20 s", "30 s", "40 s", "50 s"]
    assert clock["dqn"] == ["10", "20", "400", "40", "50"]
    assert "At each time, the newest evaluation so far." in page


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([123_456 * k for k in range(1, 9)], ["123,456", "246,912", "493,824", "617,280", "864,192", "987,648"]),
        ([250_000, 500_000, 750_000, 1_000_003], ["250,000", "500,000", "750,000", "1,000,003"]),
        ([1_000 * k for k in range(1, 61)], ["1,000", "13,000", "25,000", "36,000", "48,000", "60,000"]),
        ([100, 1_100, 400_000, 1_000_000, 1_002_000], ["100", "1,100", "400,000", "1,000,000", "1,002,000"]),
    ],
)
def test_measured_steps_and_scores_stand_in_the_table_whatever_they_are(
    tmp_path: Path, steps: list[int], shown: list[str]
) -> None:
    made = comparison(seeds=3)
    for result in made["results"]:
        result["curve"] = [[step, None, 1000.0 + k + result["seed"]] for k, step in enumerate(steps)]
    rp.report(write(tmp_path, made))
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    table = _tabled(page, "Score by environment steps, IQM over seeds")
    assert table["steps"] == shown
    assert table["dqn"] == [f"{1001 + steps.index(int(s.replace(',', ''))):,}" for s in shown], "the middle seed's"


def test_evaluations_a_few_steps_apart_stand_in_one_column(tmp_path: Path) -> None:
    made = comparison(seeds=2)
    for k, result in enumerate(made["results"]):
        over = 3 * k  # environments that do not divide the interval overshoot it, each number of them by another
        result["curve"] = [[200_000 * n + over * (n < 5), None, float(n)] for n in range(1, 6)]
    rp.report(write(tmp_path, made))
    table = _tabled((tmp_path / "report.md").read_text(encoding="utf-8"), "Score by environment steps, IQM over seeds")
    assert table["steps"] == ["200,000", "400,000", "600,000", "800,000", "1,000,000"]
    assert table["dqn"] == table["sb3:dqn"] == ["1", "2", "3", "4", "5"]


def test_a_failed_seed_counts_in_the_table_as_in_the_curve(tmp_path: Path) -> None:
    made = comparison(seeds=4)
    for result in made["results"]:
        scores = {1_000: 10.0, 13_331: 20.0, 20_777: 400.0, 33_331: 40.0, 50_000: 50.0}
        result["curve"] = [[step, None, score] for step, score in scores.items()]
    made["results"][1].update(status="failed", error="boom", score=None, curve=[])
    rp.report(write(tmp_path, made))
    table = _tabled((tmp_path / "report.md").read_text(encoding="utf-8"), "Score by environment steps, IQM over seeds")
    floor = made["tasks"][0]["random"]  # the middle two of four: the failed seed's is outside them
    assert floor == 20 and table["dqn"] == ["10", "20", "400", "40", "50"]


def test_a_table_between_evaluations_says_that_it_is(tmp_path: Path) -> None:
    made = comparison(seeds=2)
    for result in made["results"]:
        shift = 500 * result["seed"]
        result["curve"] = [[step + shift, None, step / 100] for step in (10_000, 20_000, 40_000)]
    rp.report(write(tmp_path, made))
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Interpolated linearly between evaluations." in page


def test_a_report_is_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, comparison(seeds=2))
    capsys.readouterr()
    assert cli.main(["report", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["html"] == str(tmp_path / "report.html") and found["schema"] == 1


@pytest.mark.parametrize(
    ("value", "label"),
    [(50_000, "50k"), (1.2e6, "1.2M"), (0.00095, "9.5e−4"), (0.001, "1e−3"), (0.25, "0.25"), (0, "0")],
)
def test_a_ticks_label_is_short(value: float, label: str) -> None:
    assert short(value) == label
