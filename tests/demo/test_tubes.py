"""The renderer of the demo's videos: perspective, light, what hides what."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from actionspace.demo.tubes import FINER, UP, Camera, Light, Tube, render

SIZE = (64, 48)
CAMERA = Camera(np.array([0.0, -5.0, 1.0]), np.array([0.0, 0.0, 1.0]), 1.0, SIZE)
FRONT = Light(np.array([0.0, -1.0, 0.0]), everywhere=0.0)
WHITE = Image.new("RGB", (FINER * SIZE[0], FINER * SIZE[1]), (255, 255, 255))


def pillar(x: float, y: float, colour: tuple[int, int, int], alpha: int = 255) -> Tube:
    foot = np.array([x, y, 0.6])
    return Tube(foot, foot + 0.8 * UP, (0.3, 0.3), colour, alpha=alpha)


def drawn(*tubes: Tube, light: Light = FRONT) -> np.ndarray:
    return np.asarray(render(tubes, CAMERA, light, WHITE)).astype(int)


def test_what_lies_ahead_is_in_the_middle_and_far_things_are_small() -> None:
    pixels, depths = CAMERA.project(np.array([[0, 0, 1.0], [1, 0, 1], [1, 5, 1], [0, 0, 2]]))
    assert pixels[0].tolist() == [32, 24] and depths.tolist() == pytest.approx([5, 5, 10, 5])
    right, far, up = pixels[1] - pixels[0], pixels[2] - pixels[0], pixels[3] - pixels[0]
    assert right.tolist() == pytest.approx([48 / 5, 0]) and far.tolist() == pytest.approx(right / 2)
    assert up.tolist() == pytest.approx([0, -48 / 5]), "z points up, rows go down"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_near_things_hide_far_ones_in_whatever_order_they_come(order: tuple[int, int]) -> None:
    tubes = [pillar(0, 0, (200, 0, 0)), pillar(0, 1, (0, 0, 200))]
    middle = drawn(*[tubes[i] for i in order])[24, 32]
    assert middle[0] > 150 and middle[2] == 0


def test_faces_towards_the_light_are_bright_and_glass_lets_the_back_through() -> None:
    picture = drawn(pillar(0, 0, (200, 200, 200)))
    assert picture[24, 32, 0] > picture[24, 30, 0] + 10
    behind = Light(np.array([0.0, 1.0, 0.0]), everywhere=0.25)
    assert drawn(pillar(0, 0, (200, 200, 200)), light=behind)[24, 32, 0] == 50
    assert 100 < drawn(pillar(0, 0, (0, 0, 0), alpha=70))[24, 32, 0] < 250
