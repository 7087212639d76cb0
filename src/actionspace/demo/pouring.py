"""A hand that takes a cup, pours into a glass and puts the cup back, in a scene drawn at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from actionspace.demo.tubes import (
    FINER,
    UP,
    Camera,
    Colour,
    Floats,
    Light,
    Tube,
    cross,
    ground,
    render,
    unit,
)

PHASES = ("reach", "lift", "carry", "pour", "return", "withdraw")
"""What is done, in this order."""
SPLITS = ("train", "test")
#: The arc of the cameras and the circle of hues are cut into so many pieces for each split, which
#: take turns: no camera's direction and no colour of one split is seen in the other.
PIECES = 6
#: The arc around the table that cameras stand on, radians; its middle is in front.
ARC = np.deg2rad(100)
#: How far the way from cup to glass is turned at most from left to right, radians.
TURN = np.deg2rad(15)


@dataclass(frozen=True)
class Scene:
    """What stays the same in a video.

    Attributes:
        camera, light, background: how it is seen.
        cup, glass: where they stand, xy.
        cup_size, glass_size: radius and height.
        home: where the hand comes from, xyz from where it takes the cup.
        lift: how high the cup is carried.
        tilt: how far it is tilted, radians.
        fill: height of the fluid in the glass at the end, share of the glass.
        colours: of cup, glass, fluid, hand and sleeve.
        clutter: other things on the table.
        noise: standard deviation of the sensor's noise, grey levels.
    """

    camera: Camera
    light: Light
    background: Image.Image
    cup: Floats
    glass: Floats
    cup_size: tuple[float, float]
    glass_size: tuple[float, float]
    home: Floats
    lift: float
    tilt: float
    fill: float
    colours: tuple[Colour, ...]
    clutter: tuple[Tube, ...]
    noise: float

    def picture(self, phase: int, done: float, rng: np.random.Generator) -> np.ndarray:
        """Return a frame, uint8 ``[H, W, 3]``.

        Args:
            phase: number of the phase.
            done: share of it that is over, 0 to 1.
            rng: of the noise.
        """
        tubes = [*self.clutter, *self.things(phase, done)]
        drawn = np.asarray(render(tubes, self.camera, self.light, self.background), np.float32)
        noise = rng.standard_normal(drawn.shape, np.float32) * self.noise
        return np.clip(np.rint(drawn + noise), 0, 255).astype(np.uint8)

    def things(self, phase: int, done: float) -> list[Tube]:
        """Return cup, glass, fluid, hand and arm at a moment."""
        name = PHASES[phase]
        before = {
            p: 1.0 if phase > i else done if phase == i else 0.0 for i, p in enumerate(PHASES)
        }
        closed = _ease(before["lift"] / 0.2) - _ease(before["withdraw"] / 0.2)
        taken = _ease((before["lift"] - 0.2) / 0.8)
        poured = _ease((before["pour"] - 0.25) / 0.6)
        tilted = self.tilt * (_ease(before["pour"] / 0.3) - _ease(before["return"] / 0.25))
        along = _ease(before["carry"]) - _ease((before["return"] - 0.2) / 0.4)
        high = self.lift * (taken - _ease((before["return"] - 0.6) / 0.4))
        away = 1 - _ease(before["reach"]) + _ease((before["withdraw"] - 0.2) / 0.8)

        across = np.append(unit(self.glass - self.cup), 0.0)
        radius, height = self.cup_size
        over = np.append(self.glass, 0.0) - across * (0.9 * height)
        foot = np.append(self.cup, 0.0)
        middle = foot + along * (over - foot) + np.array([0, 0, high + height / 2])
        up = np.array([0.0, 0.0, np.cos(tilted)]) + np.sin(tilted) * across
        back = np.array([0.0, 0.0, np.sin(tilted)]) - np.cos(tilted) * across
        flowing = name == "pour" and 0.3 < done < 0.85
        lip = middle + up * (height / 2) - back * radius
        palm = middle + back * (radius + 0.16) + away * self.home
        return [
            *self._cup(middle, up, poured),
            *self._glass(poured, lip if flowing else None),
            *self._hand(palm, back, closed),
        ]

    def _cup(self, middle: Floats, up: Floats, poured: float) -> list[Tube]:
        radius, height = self.cup_size
        inside = self.colours[2] if poured < 0.9 else (40, 36, 34)
        ends = middle - up * (height / 2), middle + up * (height / 2)
        return [Tube(*ends, (0.85 * radius, radius), self.colours[0], lid=inside)]

    def _glass(self, poured: float, lip: Floats | None) -> list[Tube]:
        radius, height = self.glass_size
        foot = np.append(self.glass, 0.0)
        level = foot + np.array([0, 0, 0.02 + self.fill * height * poured])
        found = [
            Tube(foot, foot + np.array([0, 0, height]), (radius, radius), self.colours[1], alpha=70)
        ]
        if poured > 0:
            found.append(Tube(foot, level, (0.9 * radius, 0.9 * radius), self.colours[2]))
        if lip is not None:
            inner = np.append(0.7 * self.glass + 0.3 * lip[:2], level[2])
            found.append(Tube(inner, lip, (0.06, 0.05), self.colours[2]))
        return found

    def _hand(self, palm: Floats, back: Floats, closed: float) -> list[Tube]:
        """Return palm, two fingers that open and close, and the arm behind."""
        skin, sleeve = self.colours[3:5]
        aside = cross(back, UP)
        aside = unit(aside) if np.linalg.norm(aside) > 0.1 else np.array([1.0, 0, 0])
        reach = self.cup_size[0] + 0.35
        spread = self.cup_size[0] + 0.06 + 0.22 * (1 - closed)
        fingers = []
        for sign in (-1.0, 1.0):
            knuckle = palm + sign * spread * aside
            fingers.append(Tube(palm, knuckle, (0.12, 0.1), skin))
            fingers.append(Tube(knuckle, knuckle - back * reach, (0.1, 0.07), skin))
        elbow = palm + 0.6 * unit(self.home) + np.array([0, 0, 0.15])
        shoulder = palm + 3.5 * unit(self.home) + np.array([0, 0, 0.9])
        arm = [Tube(palm, elbow, (0.13, 0.16), skin), Tube(elbow, shoulder, (0.2, 0.28), sleeve)]
        return [*fingers, *arm]


def draw_scene(rng: np.random.Generator, split: str, size: tuple[int, int]) -> Scene:
    """Draw a scene at random.

    Args:
        rng: same state, same scene.
        split: ``train`` or ``test``: which directions of the camera and which hues.
        size: width and height of the frames, pixels.
    """

    def colour(pale: float = 0.9) -> Colour:
        r, g, b = colorsys.hsv_to_rgb(
            _piece(rng, split), rng.uniform(0.1, pale), rng.uniform(0.3, 1.0)
        )
        return round(255 * r), round(255 * g), round(255 * b)

    apart, turn = rng.uniform(1.6, 2.3), rng.uniform(-TURN, TURN)
    across = np.array([np.cos(turn), np.sin(turn)])
    shift = rng.uniform(-0.2, 0.2, 2)
    cup_size = (rng.uniform(0.24, 0.36), rng.uniform(0.6, 0.95))
    glass_size = (rng.uniform(0.26, 0.38), rng.uniform(0.6, 1.0))
    bend = rng.uniform(-0.4, 0.4)
    home = -np.array([np.cos(turn + bend), np.sin(turn + bend)]) * rng.uniform(1.2, 1.9)
    camera = _camera(rng, split, size)
    light_turn, light_high = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.4)
    light = np.array([np.cos(light_turn), np.sin(light_turn), light_high])
    return Scene(
        camera,
        Light(unit(light), rng.uniform(0.35, 0.65)),
        _background(rng, camera, colour(0.4), colour(0.5)),
        shift - across * apart / 2,
        shift + across * apart / 2,
        cup_size,
        glass_size,
        np.append(home, rng.uniform(0.1, 0.8)),
        glass_size[1] + rng.uniform(0.15, 0.5),
        rng.uniform(1.5, 2.0),
        rng.uniform(0.5, 0.9),
        tuple(colour() for _ in range(5)),
        tuple(_thing(rng, across, colour()) for _ in range(rng.integers(1, 5))),
        rng.uniform(2, 8),
    )


def _camera(rng: np.random.Generator, split: str, size: tuple[int, int]) -> Camera:
    """Place a camera around the table; the splits' directions take turns."""
    turn = ARC * (_piece(rng, split) - 0.5) - np.pi / 2
    rise, far = np.deg2rad(rng.uniform(15, 40)), rng.uniform(4.2, 5.2)
    around = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
    target = np.array([*rng.uniform(-0.25, 0.25, 2), rng.uniform(0.5, 0.9)])
    return Camera(target + far * around, target, rng.uniform(1.1, 1.4), size)


def _background(
    rng: np.random.Generator, camera: Camera, wall: Colour, table: Colour
) -> Image.Image:
    """Draw a blotchy wall, a table in front of it and coarse texture over both."""
    width, height = FINER * camera.size[0], FINER * camera.size[1]
    picture = Image.new("RGB", (width, height), wall)
    ImageDraw.Draw(picture).polygon(ground(camera, rng.uniform(2.3, 3.2)), fill=table)
    grain = rng.integers(0, 256, (int(rng.integers(3, 24)), int(rng.integers(3, 24)), 3))
    blotches = Image.fromarray(grain.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    picture = Image.blend(picture, blotches, rng.uniform(0.05, 0.3))
    return picture.filter(ImageFilter.GaussianBlur(1))


def _thing(rng: np.random.Generator, across: Floats, colour: Colour) -> Tube:
    """Put something on the table, beside the way from cup to glass."""
    aside = np.array([-across[1], across[0]]) * rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.7)
    foot = np.append(aside + across * rng.uniform(-1.2, 1.2), 0.0)
    radius = rng.uniform(0.12, 0.4)
    top = foot + np.array([0, 0, rng.uniform(0.1, 0.8)])
    return Tube(foot, top, (radius, radius * rng.uniform(0.5, 1.0)), colour)


def _piece(rng: np.random.Generator, split: str) -> float:
    """Return a place from 0 to 1 in the pieces that belong to a split."""
    pieces = PIECES * len(SPLITS)
    own = len(SPLITS) * int(rng.integers(PIECES)) + SPLITS.index(split)
    return (own + rng.uniform(0, 1)) / pieces


def _ease(share: float) -> float:
    """Go from 0 to 1 with a soft start and a soft end."""
    x = min(max(share, 0.0), 1.0)
    return x * x * (3 - 2 * x)
