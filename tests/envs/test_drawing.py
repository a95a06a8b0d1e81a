"""The toolkit draws without a display, and every arcade game is drawn whole, fast and at any size."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pygame
import pytest

from envs.arcade.picture import draw_scene
from envs.arcade.scene import Scene, Sprite, scene
from envs.drawing import Canvas, Event, Window, no_display
from rl.errors import InputError

SCENES = {
    "Breakout": Scene(
        "Breakout",
        (Sprite("brick", 2, 1), Sprite("paddle", 4, 9), Sprite("ball", 6, 6, trail=(1, -1), moved=(1, -1))),
        score=3,
    ),
    "Asterix": Scene(
        "Asterix", (Sprite("hero", 5, 5), Sprite("enemy", 2, 2, -1, (-1, 0)), Sprite("gold", 7, 3)), level=2
    ),
    "Freeway": Scene("Freeway", (Sprite("chicken", 4, 6), Sprite("car", 2, 3, -1, (-1, 0), variant=4)), time=0.5),
    "Seaquest": Scene(
        "Seaquest",
        (
            Sprite("submarine", 4, 4),
            Sprite("fish", 1, 2, -1, (-1, 0)),
            Sprite("enemy_submarine", 8, 6),
            Sprite("diver", 7, 7),
            Sprite("torpedo", 6, 4),
            Sprite("enemy_torpedo", 2, 6, -1),
        ),
        oxygen=0.5,
        carried=2,
    ),
    "SpaceInvaders": Scene(
        "SpaceInvaders",
        (
            Sprite("alien", 3, 1),
            Sprite("cannon", 5, 9),
            Sprite("shot", 4, 5, trail=(0, -1)),
            Sprite("enemy_shot", 7, 7, trail=(0, 1)),
        ),
    ),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", [(800, 600), (160, 160), (400, 150), (90, 700), (20, 11), (1, 1)])
def test_a_scene_is_drawn_at_any_size(name, size):
    pixels = draw_scene(SCENES[name], size)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("name", SCENES)
def test_every_sprite_changes_the_picture_at_its_own_place(name):
    whole = draw_scene(SCENES[name], (600, 651)).astype(int)  # a bar of 51 pixels, then cells of 60
    bar = round(651 * 0.085)
    for sprite in SCENES[name].sprites:
        rest = tuple(s for s in SCENES[name].sprites if s is not sprite)
        without = draw_scene(replace(SCENES[name], sprites=rest), (600, 651)).astype(int)
        change = np.abs(whole - without).sum(axis=2) > 24
        cell = change[651 - 600 + sprite.y * 60 : 651 - 600 + (sprite.y + 1) * 60, sprite.x * 60 : (sprite.x + 1) * 60]
        assert cell.mean() > 0.05, sprite
        assert not change[:bar].any(), "a sprite must not reach into the score line"


def test_score_level_oxygen_divers_time_and_the_end_are_shown():
    for name, field, value in (
        ("Breakout", "score", 4.0),
        ("Asterix", "level", 3),
        ("Seaquest", "oxygen", 0.9),
        ("Seaquest", "carried", 3),
        ("Freeway", "time", 0.2),
        ("Breakout", "lives", 3),
        ("SpaceInvaders", "over", True),
    ):
        before, after = draw_scene(SCENES[name]), draw_scene(replace(SCENES[name], **{field: value}))
        assert (before != after).any(), field


def test_facing_left_mirrors_what_faces_right():
    one = {side: draw_scene(Scene("?", (Sprite("car", 4.5, 5, side),)), (601, 655)) for side in (1, -1)}
    board = {side: pixels[60:, :].astype(int) for side, pixels in one.items()}
    assert np.abs(board[1] - board[-1][:, ::-1]).mean() < 1.0
    assert np.abs(board[1] - board[-1]).max() > 60


def test_gliding_starts_at_the_last_cell_and_ends_at_this_one():
    ball = Sprite("ball", 6, 6, moved=(1, -1))
    canvas = {part: Canvas(600, 651) for part in (0.0, 0.5, 1.0)}
    from envs.arcade.picture import draw

    centres = []
    for part, c in canvas.items():
        draw(c, Scene("?", (ball,)), part)
        ys, xs = np.nonzero(c.array()[60:, :, 0] > 200)
        centres.append((xs.mean() / 60 - 0.5, (ys.mean() + 60 - 51) / 60 - 0.5))
    assert np.allclose(centres, [(5, 7), (5.5, 6.5), (6, 6)], atol=0.1)


@pytest.mark.parametrize("game", ["Breakout", "Asterix", "Freeway", "Seaquest", "SpaceInvaders"])
def test_what_glides_comes_from_where_it_was(game):
    """Over random play: a sprite that moved was where the glide begins, one that did not was where it is, or is new."""
    from envs.arcade import ArcadeEnv

    env, rng = ArcadeEnv(game), np.random.default_rng(0)
    env.reset(seed=0)
    moves = 0
    for _ in range(1500):
        before = env.state.copy()
        *_, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        if terminated or truncated:
            env.reset()
            continue
        then = {(s.kind, s.x, s.y) for s in scene(game, before).sprites}
        places = {place[1:] for place in then}
        for s in scene(game, env.state, before).sprites:
            came = (s.x - s.moved[0], s.y - s.moved[1])
            if s.moved != (0, 0):
                moves += 1
                fired = s.kind in ("shot", "torpedo", "enemy_torpedo") and came in places | {(float(before["x"]), 9.0)}
                entered = s.kind in ("car", "enemy", "gold") and came[0] in (-1, 0, 9, 10)
                assert (s.kind, *came) in then or fired or entered, s
            elif s.kind not in ("hero", "chicken", "submarine", "brick", "alien"):  # may jump, or be built anew
                new = s.kind == "enemy_shot" or s.x in (0, 9)
                assert (s.kind, s.x, s.y) in then or new, s
    assert moves > 300


def test_sixty_frames_a_second_at_800_by_600():
    canvas = Canvas(800, 600)
    from envs.arcade.picture import draw

    bricks = tuple(Sprite("brick", x, y, variant=y - 1) for y in (1, 2, 3) for x in range(10))
    full = replace(SCENES["Breakout"], sprites=SCENES["Breakout"].sprites + bricks)
    draw(canvas, full)
    start = time.process_time()
    for _ in range(60):
        draw(canvas, full)
        canvas.array()
    assert time.process_time() - start < 1.0  # measured: 0.09 s


def test_scenes_read_real_states():
    states = pytest.importorskip("envs.arcade.space_invaders")
    row = np.zeros(1, states.STATE).view(np.recarray)[0]
    states.reset(row)
    before = row.copy()
    marched = 0
    for t in range(14):
        before = row.copy()
        states.step(row, 0, False)
        row["elapsed"] += 1
        aliens = [s for s in scene("SpaceInvaders", row, before).sprites if s.kind == "alien"]
        if aliens[0].moved != (0.0, 0.0):
            marched = t
            assert aliens[0].moved == (-1.0, 0.0)
    assert len(aliens) == 24
    assert marched == 12  # the swarm's first march, counted from 0
    with pytest.raises(InputError, match="unknown arcade game 'Seaqest': did you mean 'Seaquest'"):
        scene("Seaqest", row)


def test_a_canvas_gives_a_fresh_array():
    canvas = Canvas(4, 3)
    canvas.fill((10, 20, 30))
    first = canvas.array()
    canvas.fill((0, 0, 0))
    assert first.flags.writeable
    assert (first == (10, 20, 30)).all()


def test_a_picture_keeps_its_shape_and_its_pixels():
    canvas = Canvas(100, 50)
    left, top, width, height = canvas.picture(np.full((10, 10, 3), 200, np.uint8), 0, 0, 100, 50)
    assert (left, top, width, height) == (25, 0, 50, 50)
    assert (canvas.array()[:, 25:75] == 200).all()
    assert (canvas.array()[:, :25] == 0).all()
    with pytest.raises(InputError, match=r"uint8 \[H, W\].*got float64 \[2, 2\]"):
        canvas.picture(np.zeros((2, 2)), 0, 0, 10, 10)


def test_a_window_reads_keys_and_closes_cleanly():
    with no_display():
        with Window("test", 320, 240) as window:
            window.press("space")
            window.press("left")
            window.press("left", down=False)
            found = [e for e in window.events() if e.kind in ("press", "release")]
            assert found == [Event("press", "space"), Event("press", "left"), Event("release", "left")]
            assert window.held == {"space"}
            with pytest.raises(InputError, match="already open"):
                Window("second")
            window.canvas.fill((1, 2, 3))
            window.show()
        assert not window.is_open
        assert window.events() == []
        Window("again").close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
def test_without_a_display_one_line_offers_a_video():
    code = "from envs.drawing import Window; Window('x')"
    env = {"PATH": "/usr/bin", "PYTHONPATH": "."}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert "InputError: no display to open a window on: use --video FILE" in done.stderr
    assert done.stdout == ""  # pygame's banner would break --json


def test_arcade_environments_give_pictures_and_survive_a_closed_window():
    gymnasium = pytest.importorskip("gymnasium")
    from envs import arcade

    arcade.register()
    env = gymnasium.make("Arcade/Breakout-v1", render_mode="rgb_array")
    env.reset(seed=0)
    pictures = [env.render()]
    env.step(1)
    pictures.append(env.render())
    assert pictures[0].shape == (600, 800, 3)
    assert (pictures[0] != pictures[1]).any()
    with no_display():
        human = gymnasium.make("Arcade/Breakout-v1", render_mode="human")
        human.reset(seed=0)
        human.step(1)
        import pygame

        pygame.event.post(pygame.event.Event(pygame.QUIT))
        human.step(1)
        assert not pygame.display.get_init()  # the window is gone, the game goes on
        human.step(1)
        human.close()


def test_text_is_drawn_after_pygame_was_quit_and_begun_again() -> None:
    from envs.drawing import _font

    _font(20)
    pygame.quit()
    pygame.init()
    assert _font(20).render("a", True, (0, 0, 0)).get_width() > 0
