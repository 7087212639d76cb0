"""Articulated and rigid movers: skeletons, the motions they make, and the labels of a motion.

A mover is a set of tapered capsules whose end points move over time. Everything is in world
units (the image is 1 high and ``aspect`` wide, y down), so that what is learnt can be labelled
exactly: which motion, which body part, how fast, how often, in which posture. Looks (colour,
texture, proportions) are drawn independently of the motion and are never a label.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from actionspace.encoders.starter import MOTIONS

Array = NDArray[np.float32]

GROUPS = ("torso", "head", "fore", "hind", "tail")
N_PARTS = 16
_PART_GROUPS = ("fore",) * 2 + ("hind",) * 2 + ("tail",) * 3 + ("torso",) * 2
_PART_GROUPS += ("head",) * 3 + ("hind",) * 2 + ("fore",) * 2
PART_GROUP = np.array([GROUPS.index(g) for g in _PART_GROUPS])


@dataclass
class Mover:
    """One mover over ``F`` time points.

    Attributes:
        a: ``[F, P, 2]`` first end of each capsule, world units.
        b: ``[F, P, 2]`` second end.
        r: ``[F, P, 2]`` radii at both ends; 0 hides a capsule.
        group: ``[P]`` index into ``GROUPS``.
        motions: the motions it makes, names of ``MOTIONS``.
        posture: ``[F, 8]`` sin and cos of spine pitch and head angle, head and mid-spine offset
            from the hip (in body lengths).
        frequency: of its strongest periodic motion in Hz; 0 if there is none.
        size: body length at the first time point, world units.
    """

    a: Array
    b: Array
    r: Array
    group: NDArray[np.int64]
    motions: list[str] = field(default_factory=list)
    posture: Array = field(default_factory=lambda: np.zeros((1, 8), np.float32))
    frequency: float = 0.0
    size: float = 0.1
    rigid: bool = False


def ramp(rng: np.random.Generator, t: Array) -> Array:
    """A smooth step from 0 to 1 that begins and lasts at random, part of it inside the clip."""
    span = float(t[-1] - t[0])
    length = rng.uniform(0.4, 1.6) * span
    begin = rng.uniform(-0.5 * length, 0.6 * span)
    u = np.clip((t - begin) / length, 0, 1)
    return np.asarray(u * u * (3 - 2 * u), np.float32)


def oscillation(rng: np.random.Generator, t: Array, frequency: float) -> Array:
    """A sine of unit amplitude with random phase, slightly uneven in time."""
    wobble = rng.uniform(0, 0.6) * np.sin(2 * np.pi * rng.uniform(0.3, 1.0) * t)
    return np.asarray(
        np.sin(2 * np.pi * frequency * t + rng.uniform(0, 2 * np.pi) + wobble), np.float32
    )


def _step(origin: Array, angle: Array, length: float | Array) -> Array:
    """Go ``length`` from ``origin`` [F, 2] in direction ``angle`` [F] (0 right, pi/2 up)."""
    d = np.stack([np.cos(angle), -np.sin(angle)], -1)
    return np.asarray(origin + d * np.reshape(length, (-1, 1)), np.float32)


def _elbow(
    origin: Array, target: Array, upper: float, lower: float, side: float
) -> tuple[Array, Array]:
    """Two-bone reach: elbow and the end point nearest to ``target`` that the limb can get to."""
    d = target - origin
    dist = np.linalg.norm(d, axis=-1, keepdims=True) + 1e-6
    reach = np.clip(dist, abs(upper - lower) + 1e-4, (upper + lower) * 0.999)
    unit = d / dist
    along = (reach**2 + upper**2 - lower**2) / (2 * reach)
    off = np.sqrt(np.clip(upper**2 - along**2, 0, None)) * side
    normal = np.stack([-unit[:, 1], unit[:, 0]], -1)
    return origin + unit * along + normal * off, origin + unit * reach


def creature(rng: np.random.Generator, t: Array, aspect: float) -> Mover:
    """Draw an animal-like mover with up to three motions.

    Args:
        rng: source of all randomness.
        t: ``[F]`` seconds.
        aspect: image width over height.
    """
    f = len(t)
    length = float(np.exp(rng.uniform(np.log(0.08), np.log(0.5))))
    top_view = rng.random() < 0.2
    motions = _choose(rng)
    deg = np.pi / 180
    frequency = float(np.exp(rng.uniform(np.log(1.2), np.log(8.0))))
    periodic = {"head_osc", "fore_at_head", "fore_osc", "hind_osc", "tail_osc", "shake", "locomote"}
    has_rhythm = bool(periodic & set(motions)) or ("curl" in motions)

    zero = np.zeros(f, np.float32)
    pitch = zero + rng.choice([0.0, 10.0, 35.0, 65.0, 85.0], p=[0.35, 0.15, 0.15, 0.15, 0.2])
    pitch = (pitch + rng.normal(0, 8)) * deg
    bend = zero + rng.normal(0, 15) * deg
    if rng.random() < 0.2:  # hunched
        bend = bend - rng.uniform(20, 60) * deg
    head = zero + rng.normal(-10, 25) * deg - 0.5 * pitch
    yaw = zero + rng.choice([0.0, np.pi]) + rng.normal(0, 25) * deg
    roll = zero + (rng.normal(0, 4) * deg if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi))
    if top_view:
        pitch, roll = zero + rng.normal(0, 5) * deg, zero + rng.uniform(-np.pi, np.pi)
    shift = np.zeros((f, 2), np.float32)
    scale = np.ones(f, np.float32)

    def amount(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    if "rise" in motions:
        change = rng.uniform(20, 85) * deg
        pitch = np.clip(pitch, None, 95 * deg - change) + change * ramp(rng, t)
    if "lower" in motions:
        change = rng.uniform(20, 85) * deg
        pitch = np.clip(pitch, change - 10 * deg, None) - change * ramp(rng, t)
    if "head_ramp" in motions:
        head = head + rng.choice([-1, 1]) * rng.uniform(20, 80) * deg * ramp(rng, t)
    if "curl" in motions:
        here = ramp(rng, t) if rng.random() < 0.3 else zero + 1
        bend = bend - here * rng.uniform(20, 75) * deg
        head = head - here * rng.uniform(40, 110) * deg
        head = head + amount(4, 20) * deg * oscillation(rng, t, frequency)
    if "head_osc" in motions:
        head = head + amount(5, 35) * deg * oscillation(rng, t, frequency)
    if "turn" in motions:
        yaw = yaw + rng.choice([-1, 1]) * rng.uniform(50, 180) * deg * ramp(rng, t)
    if "rotate" in motions:
        roll = roll + rng.choice([-1, 1]) * rng.uniform(25, 150) * deg * ramp(rng, t)
    if "shake" in motions:
        wave = oscillation(rng, t, frequency)
        shift += length * amount(0.02, 0.08) * np.stack([wave, rng.normal(0, 0.4) * wave], -1)
        bend = bend + 6 * deg * wave
    if "approach" in motions:
        scale = np.exp(rng.choice([-1, 1]) * rng.uniform(0.2, 0.8) * ramp(rng, t)).astype(
            np.float32
        )
    if "locomote" in motions:
        speed = amount(0.4, 4.0) * length  # world units per second
        way = (yaw[0] > np.pi / 2) * np.pi if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
        shift += speed * t[:, None] * np.array([np.cos(way), -0.3 * np.sin(way)], np.float32)
    if "jump" in motions:
        u = np.clip((t - rng.uniform(-0.2, 0.3) * t[-1]) / (rng.uniform(0.5, 1.1) * t[-1]), 0, 1)
        shift[:, 1] -= (4 * u * (1 - u)) * rng.uniform(0.2, 0.9) * length
    idle = amount(0.2, 1.5) * deg
    bend, head = bend + idle * oscillation(rng, t, 1.5), head + idle * oscillation(rng, t, 0.8)

    thick = rng.uniform(0.13, 0.38) * length
    neck, snout = rng.uniform(0.1, 0.4) * length, rng.uniform(0.05, 0.3) * length
    head_r = thick * rng.uniform(0.45, 0.95)
    hip = np.zeros((f, 2), np.float32)
    mid = _step(hip, pitch, 0.5 * length)
    shoulder = _step(mid, pitch + bend, 0.5 * length)
    skull = _step(shoulder, pitch + bend + head + 0.3, neck)
    nose = _step(skull, pitch + bend + head, head_r + snout)
    ear = _step(skull, pitch + bend + head + 2.0, head_r * rng.uniform(0.8, 1.3))

    limb_f, limb_h = rng.uniform(0.3, 0.8, 2) * length
    parts: dict[str, tuple[Array, Array, float, float]] = {}
    limb_r = thick * rng.uniform(0.15, 0.4)
    at_head = "fore_at_head" in motions
    working = ramp(rng, t) if at_head and rng.random() < 0.3 else zero + 1
    wave_f, wave_h = oscillation(rng, t, frequency), oscillation(rng, t, frequency)
    gait = 28 * deg if "locomote" in motions else 0.0
    swing = {"fore_osc": amount(15, 60) * deg, "hind_osc": amount(15, 60) * deg}
    hind_side = rng.choice(["far", "near"])
    wave_at_head = 0.18 * length * amount(0.4, 1.5)
    for name, sign in (("far", -1.0), ("near", 1.0)):
        lateral = sign * 80 * deg if top_view else 0.0
        base = pitch + lateral if top_view else -90 * deg + 0.65 * pitch
        angle = base + rng.normal(0, 12) * deg + sign * gait * wave_f
        if "fore_osc" in motions:
            angle = angle + swing["fore_osc"] * (wave_f if rng.random() < 0.6 else sign * wave_f)
        foot = _step(shoulder, angle, 0.92 * limb_f)
        if at_head:
            along = np.stack([np.cos(head + pitch + bend), -np.sin(head + pitch + bend)], -1)
            target = 0.5 * (skull + nose) + wave_at_head * wave_f[:, None] * along
            foot = foot + working[:, None] * (target - foot)
        elbow, end = _elbow(shoulder, foot, 0.5 * limb_f, 0.55 * limb_f, 1.0)
        parts[f"{name}_fore"] = (elbow, end, limb_f, limb_r)
        base = pitch + lateral if top_view else -90 * deg + 0.25 * pitch
        angle = base + rng.normal(0, 12) * deg - sign * gait * wave_f
        if "hind_osc" in motions and name == hind_side:
            angle = angle + rng.uniform(20, 60) * deg + swing["hind_osc"] * wave_h
        knee, end = _elbow(hip, _step(hip, angle, 0.92 * limb_h), 0.5 * limb_h, 0.55 * limb_h, -1.0)
        parts[f"{name}_hind"] = (knee, end, limb_h, limb_r * 1.2)

    tail_len = 0.0 if rng.random() < 0.25 else rng.uniform(0.2, 1.2) * length
    tail_r = thick * rng.uniform(0.08, 0.3) if tail_len else 0.0
    tail_angle = np.pi + pitch * 0.5 + rng.normal(0, 25) * deg
    tail_wave = amount(8, 40) * deg * wave_h if "tail_osc" in motions else 2 * deg * wave_h
    tail = [hip]
    for i in range(3):
        tail.append(_step(tail[-1], tail_angle + (i + 1) * 0.5 * tail_wave, tail_len / 3))

    def limb(name: str, joint: Array) -> list[tuple[Array, Array, float, float]]:
        elbow, end, _, radius = parts[name]
        return [(joint, elbow, radius * 1.3, radius), (elbow, end, radius, radius * 0.8)]

    hip_r, front_r = thick * rng.uniform(0.8, 1.3), thick * rng.uniform(0.65, 1.1)
    caps = limb("far_fore", shoulder) + limb("far_hind", hip)
    caps += [
        (tail[i], tail[i + 1], tail_r * (1 - 0.25 * i), tail_r * (0.75 - 0.25 * i))
        for i in range(3)
    ]
    caps += [(hip, mid, hip_r, thick), (mid, shoulder, thick, front_r)]
    ear_r = head_r * rng.uniform(0.25, 0.6) * float(rng.random() < 0.6)
    caps += [(shoulder, skull, front_r * 0.8, head_r), (skull, nose, head_r, head_r * 0.35)]
    caps += [(ear, ear, ear_r, ear_r)]
    caps += limb("near_hind", hip) + limb("near_fore", shoulder)

    a = np.stack([c[0] for c in caps], 1)
    b = np.stack([c[1] for c in caps], 1)
    r = np.array([[c[2], c[3]] for c in caps], np.float32)[None] * scale[:, None, None]
    head_world = pitch + bend + head
    posture = [np.sin(pitch), np.cos(pitch), np.sin(head_world), np.cos(head_world)]
    place = rng.uniform([0.12 * aspect, 0.15], [0.88 * aspect, 0.85]).astype(np.float32)
    moved = [_place(p, yaw, roll, scale, shift, place) for p in (a, b)]
    # Posture as the image shows it: offsets after turning and rolling, in body lengths.
    seen = np.stack([skull, mid], 1)
    seen = _place(seen, yaw, roll, scale, shift * 0, place * 0) / length
    mover = Mover(moved[0], moved[1], r, PART_GROUP, motions, size=length)
    mover.posture = np.concatenate([np.stack(posture, -1), seen.reshape(f, 4)], -1).astype(
        np.float32
    )
    mover.frequency = frequency if has_rhythm else 0.0
    return mover


def _choose(rng: np.random.Generator) -> list[str]:
    count = rng.choice([0, 1, 2, 3], p=[0.08, 0.5, 0.3, 0.12])
    chosen = [str(m) for m in rng.choice(MOTIONS, count, replace=False)]
    if "rise" in chosen and "lower" in chosen:
        chosen.remove("lower")
    return chosen


def _place(p: Array, yaw: Array, roll: Array, scale: Array, shift: Array, at: Array) -> Array:
    """Turn (foreshorten x), roll, scale, shift points ``[F, N, 2]`` given about the hip."""
    x, y = p[..., 0] * np.cos(yaw)[:, None], p[..., 1]
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    turned = np.stack([c * x - s * y, s * x + c * y], -1) * scale[:, None, None]
    return np.asarray(turned + shift[:, None] + at, np.float32)


def rigid(rng: np.random.Generator, t: Array, aspect: float) -> Mover:
    """Draw a rigid mover: a few capsules fixed to each other that shift, spin, grow or tremble."""
    f = len(t)
    size = float(np.exp(rng.uniform(np.log(0.04), np.log(0.35))))
    n = int(rng.integers(1, 5))
    local = rng.normal(0, 0.35 * size, (2, 1, n, 2)).astype(np.float32)
    radius = rng.uniform(0.1, 0.35, (1, n, 2)).astype(np.float32) * size
    able = ("locomote", "rotate", "shake", "approach", "jump")
    motions = [str(m) for m in rng.choice(able, rng.integers(0, 3), replace=False)]
    frequency = float(np.exp(rng.uniform(np.log(1.2), np.log(8.0))))
    roll = np.zeros(f, np.float32)
    scale = np.ones(f, np.float32)
    shift = np.zeros((f, 2), np.float32)
    if "locomote" in motions:
        way, speed = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.03), np.log(1.2)))
        shift += speed * t[:, None] * np.array([np.cos(way), np.sin(way)], np.float32)
    if "rotate" in motions:
        roll = roll + rng.normal(0, 3) * t
    if "shake" in motions:
        way, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.5) * size
        wave = oscillation(rng, t, frequency)[:, None]
        shift += reach * wave * np.array([np.cos(way), np.sin(way)], np.float32)
    if "approach" in motions:
        scale = np.exp(rng.choice([-1, 1]) * rng.uniform(0.2, 0.9) * ramp(rng, t)).astype(
            np.float32
        )
    if "jump" in motions:
        u = t / t[-1]
        shift[:, 1] -= 4 * u * (1 - u) * rng.uniform(0.3, 1.5) * size
    place = rng.uniform([0.1 * aspect, 0.1], [0.9 * aspect, 0.9]).astype(np.float32)
    zero = np.zeros(f, np.float32)
    ends = [_place(np.repeat(p, f, 0), zero, roll, scale, shift, place) for p in local]
    mover = Mover(ends[0], ends[1], radius * scale[:, None, None], np.zeros(n, np.int64), motions)
    mover.size, mover.rigid = size, True
    mover.posture = np.zeros((f, 8), np.float32)
    mover.frequency = frequency if "shake" in motions else 0.0
    return mover
