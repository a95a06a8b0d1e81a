"""What the verbs print for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any


def show_scores(r: dict[str, Any]) -> None:
    for one in r.get("results", [r]):
        name = f"{one['env']} {one['agent']} step {one['step']:,}"
        for side, n in (one.get("sides") or {}).items():
            print(f"moving {side}: {n['won']} won, {n['drawn']} drawn, {n['lost']} lost of {n['games']}")
        print(f"{name}: mean {one['mean']:.1f} +- {one['std']:.1f}, IQM {one['iqm']:.1f}, {one['episodes']} games")
        if "optimum" in one:
            print(exact_words(one))


def exact_words(score: Mapping[str, Any]) -> str:
    """The exact expected return and its distance to the optimum, in one line."""
    if score.get("exact") is None:
        return f"optimum {score['optimum']:.5g}"
    short = max(0.0, score["optimum"] - score["exact"])
    return f"exact expected return {score['exact']:.5g}, {short:.2g} below the optimum of {score['optimum']:.5g}"


def show_games(r: dict[str, Any]) -> None:
    if r.get("returns"):
        print(f"returns: {', '.join(f'{value:g}' for value in r['returns'])}")
    if r.get("video"):
        print(f"video: {r['video']}")


def show_training(r: dict[str, Any]) -> None:
    if "report" in r:
        from runs.comparing.many_seeds import summary

        print(summary(r))
        return
    if r.get("mean") is not None:
        show_scores(r)
    print(f"{r['steps']:,} steps in {r['seconds']:.0f} s, {r['steps_per_second']:,.0f} steps/s")
    print(f"run: {r['run']}")


def show_export(r: dict[str, Any]) -> None:
    if parity := r.get("parity"):
        print(f"inputs: {', '.join(r['inputs'])}; outputs: {', '.join(r['outputs'])}")
        tied = f" ({parity['ties']} more were ties)" if parity["ties"] else ""
        print(
            f"the same action as the agent on {parity['same_actions']:,} of {parity['observations']:,} observations"
            f"{tied}; largest difference of a number: {parity['largest_difference']:.1e}"
        )
    print(f"{r['format']}: {r['file']} ({r['bytes'] / 1024:,.0f} KiB)")


def show_pushed(r: dict[str, Any]) -> None:
    if "mean" in r:
        print(f"{r['env']} {r['agent']} step {r['step']:,}: mean {r['mean']:.1f} +- {r['std']:.1f}, {r['games']} games")
    print(f"shared: {r['to']}")


def show_pulled(r: dict[str, Any]) -> None:
    if r["left_out"]:
        print(f"left out: {', '.join(r['left_out'])}")
    if r["code"]:
        print(f"its recipe names code, which runs only with --trust: {', '.join(map(repr, r['code']))}")
    print(f"run: {r['run']} (it can be watched, evaluated and played; without its replay it cannot be resumed)")


def show_synced(r: dict[str, Any]) -> None:
    print(f"{r['metrics']:,} rows, {r['evaluations']} evaluations and {r['films']} films to {r['to']}: {r['run']}")


def show_list(r: dict[str, Any]) -> None:
    for i, (kind, entries) in enumerate(r.items()):
        if len(r) > 1:
            print(f"{chr(10) if i else ''}{kind}")
        if kind == "envs":
            show_families(entries)
            continue
        if kind == "fields":
            show_fields(entries)
            continue
        width = max((len(name) for name in entries), default=0)
        for name, words in entries.items():
            print(f"  {name:{width}}  {words}".rstrip())


def show_families(envs: dict[str, str]) -> None:
    for family in dict.fromkeys(envs.values()):
        print(f"  {family}")
        names = "  ".join(name for name, of in envs.items() if of == family)
        print(textwrap.fill(names, 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))


def show_fields(fields: dict[str, dict[str, str]]) -> None:
    usual = (f"{name}={field['value']}" for name, field in fields.items() if len(field["value"]) < 30)
    width = max(map(len, usual), default=0)
    for name, field in fields.items():
        head = f"{name}={field['value']}"
        print(f"  {head:{width}}  {field['meaning']}".rstrip())


def show_records(r: dict[str, Any]) -> None:
    failed = sum(result["status"] != "ok" for result in r["results"])
    count = len(r["results"])
    print(f"{count} seed{'s' * (count != 1)} recorded, {failed} failed")
    if "report" in r:
        print(f"{r['headline']}\n{r['report']}")


def show_league(r: dict[str, Any]) -> None:
    from runs.comparing.league.league import lines

    for line in lines(r):
        print(line)


def show_grading(r: dict[str, Any]) -> None:
    from runs.comparing.grading.grade import lines

    for line in lines(r):
        print(line)


def show_profile(r: dict[str, Any]) -> None:
    from runs.bench.profiling import lines

    for line in lines(r):
        print(line)


def show_grading_csv(r: dict[str, Any]) -> None:
    from runs.comparing.grading.page import table

    print(table(r["rows"]), end="")


def show_page(r: dict[str, Any]) -> None:
    print(f"{r['html']}: {r['bytes'] / 1e6:.1f} MB in {r['seconds']:.0f} s")


def show_solution(r: dict[str, Any]) -> None:
    from runs.cli.solve import lines

    for line in lines(r):
        print(line)


def show_new(r: dict[str, Any]) -> None:
    print(f"{r['file']} and {r['test']}; {r['on']}")


def show_completion(r: dict[str, Any]) -> None:
    print(r["script"])


def show_doctor(r: dict[str, Any]) -> None:
    from runs.cli.doctor import lines

    for line in lines(r):
        print(line)
