"""Render one labelled clip: scene, movers, camera, sensor. A clip is a function of (seed, index).

``render(seed, index)`` gives 16 frames of 128 x 128 (the whole scene squashed to a square, as
the starter encoder sees real video) and the targets of its motion:

* ``motions`` ``[15]``: which of ``movers.MOTIONS`` happen;
* ``values`` ``[46]`` with ``known``: place, extent, displacement, posture at the start and
  end, energy per body part, frequency, camera motion; all roughly of unit scale;
* ``dense`` ``[4, 16, 16, 8]``: per 4 frames and cell of 8 px: share covered by each body part
  group, mean displacement x and y (px per frame, camera included), and articulation speed.
"""

from __future__ import annotations

from typing import Any

import movers
import numpy as np
from movers import GROUPS, Array, Mover

from actionspace.encoders.starter import MOTIONS, VALUES

FRAMES, SIZE, CELL, STEP = 16, 128, 8, 4
GRID, STEPS = SIZE // CELL, FRAMES // STEP
DENSE = len(GROUPS) + 3
FPS = 25.0


def render(seed: int, index: int, stills: Array | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """Render clip ``index``; ``stills`` ``[N, H, W, 3]`` uint8 are real frames for backgrounds."""
    rng = np.random.default_rng([seed, index])
    aspect = float(rng.choice([1.0, 4 / 3, 16 / 9, 9 / 16], p=[0.3, 0.3, 0.35, 0.05]))
    rate = FPS * float(rng.choice([0.6, 1.0, 1.5], p=[0.2, 0.6, 0.2]))
    t = (np.arange(FRAMES + 1, dtype=np.float32)) / rate
    cast = _cast(rng, t, aspect)
    camera = _camera(rng, t)
    video = _background(rng, camera, stills)
    dense = np.zeros((FRAMES, GRID, GRID, DENSE), np.float32)
    flow = np.diff(camera[:, :2], axis=0) * SIZE
    dense[..., -3:-1] = flow[:, None, None]
    contrast = _contrast(rng)
    for mover in cast:
        _paint(rng, video, dense, mover, camera, aspect, contrast)
    _occlude(rng, video)
    frames = _sensor(rng, video)
    if rng.random() < 0.1:  # a source with half the frame rate: every other frame is repeated
        frames[1::2] = frames[::2]
    target = dense.reshape(STEPS, STEP, GRID, GRID, DENSE).mean(1)
    motions = np.zeros(len(MOTIONS), np.float32)
    for mover in cast:
        motions[[MOTIONS.index(m) for m in mover.motions]] = 1
    values, known = _values(cast, camera, aspect, t)
    return {
        "frames": frames,
        "motions": motions,
        "values": values,
        "known": known,
        "dense": target.astype(np.float32),
    }


def _cast(rng: np.random.Generator, t: Array, aspect: float) -> list[Mover]:
    count = rng.choice([0, 1, 2], p=[0.03, 0.85, 0.12])
    make = [movers.rigid if rng.random() < 0.2 else movers.creature for _ in range(count)]
    return [m(rng, t, aspect) for m in make]


def _camera(rng: np.random.Generator, t: Array) -> Array:
    """``[F, 3]``: shift x, y (in image widths) and log zoom over time; mostly none."""
    camera = np.zeros((len(t), 3), np.float32)
    kind = rng.choice(["static", "jitter", "move"], p=[0.7, 0.12, 0.18])
    if kind == "jitter":
        camera[:, :2] = rng.normal(0, rng.uniform(0.001, 0.006), (len(t), 2))
    if kind == "move":
        camera[:, :2] = t[:, None] * rng.normal(0, 0.15, 2)
        if rng.random() < 0.4:
            camera[:, 2] = t * rng.normal(0, 0.2)
    return camera


def _noise(rng: np.random.Generator, side: int) -> Array:
    """``[side, side]`` fractal noise of zero mean and unit variance."""
    total = np.zeros((side, side), np.float32)
    falloff = rng.uniform(0.4, 0.9)
    for octave in range(2, 7):
        n = 2**octave
        coarse = rng.standard_normal((n + 1, n + 1)).astype(np.float32)
        at = np.linspace(0, n - 1e-3, side)
        i, w = at.astype(int), (at % 1).astype(np.float32)
        rows = coarse[i] * (1 - w)[:, None] + coarse[i + 1] * w[:, None]
        total += (rows[:, i] * (1 - w) + rows[:, i + 1] * w) * falloff**octave
    return (total - total.mean()) / (total.std() + 1e-6)


def _scene(rng: np.random.Generator, side: int, stills: Array | None) -> Array:
    """``[side, side, 3]`` background in 0..1: a real still, or noise, gradients and furniture."""
    if stills is not None and rng.random() < 0.4:
        still = stills[rng.integers(len(stills))].astype(np.float32) / 255
        h, w = still.shape[:2]
        ch, cw = (int(rng.uniform(0.5, 1) * n) for n in (h, w))
        y, x = rng.integers(h - ch + 1), rng.integers(w - cw + 1)
        rows = y + (np.arange(side) * ch // side)
        cols = x + (np.arange(side) * cw // side)
        scene = still[rows][:, cols]
        if rng.random() < 0.5:
            scene = scene[:, ::-1]
        return scene * rng.uniform(0.5, 1.1) + rng.uniform(-0.1, 0.2)
    grey = rng.uniform(0.05, 0.85) + rng.uniform(0, 0.12) * _noise(rng, side)
    yy, xx = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j].astype(np.float32)
    grey = grey + rng.normal(0, 0.15) * (yy - 0.5) + rng.normal(0, 0.15) * (xx - 0.5)
    scene = np.repeat(grey[..., None], 3, -1).astype(np.float32)
    for _ in range(rng.integers(0, 9)):
        cy, cx = rng.uniform(0, 1, 2)
        h, w = np.exp(rng.uniform(np.log(0.02), np.log(0.5), 2))
        if rng.random() < 0.6:
            inside = (abs(yy - cy) < h) & (abs(xx - cx) < w)
        else:
            inside = ((yy - cy) / h) ** 2 + ((xx - cx) / w) ** 2 < 1
        shade = rng.uniform(0, 1) + rng.normal(0, 0.08, 3)
        scene[inside] += (rng.uniform(0.3, 1) * (shade - scene[inside])).astype(np.float32)
    if rng.random() < 0.3:  # mesh, bars, floor boards
        line = np.sin(2 * np.pi * rng.uniform(3, 25) * (xx if rng.random() < 0.6 else yy)) > 0.6
        scene += (rng.normal(0, 0.1) * line)[..., None]
    return scene


def _background(rng: np.random.Generator, camera: Array, stills: Array | None) -> Array:
    """``[FRAMES, SIZE, SIZE, 3]`` seen by the camera."""
    if not camera.any():
        scene = _scene(rng, SIZE, stills)
        return np.repeat(scene[None].astype(np.float32), FRAMES, 0)
    side = SIZE * 3 // 2
    scene = _scene(rng, side, stills).astype(np.float32)
    video = np.empty((FRAMES, SIZE, SIZE, 3), np.float32)
    at = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    for i in range(FRAMES):
        y, x = (
            np.clip(
                ((at - camera[i, k]) * np.exp(-camera[i, 2]) + 0.75) * SIZE - 0.5, 0, side - 1.01
            )
            for k in (1, 0)
        )
        yi, xi = y.astype(int), x.astype(int)
        wy, wx = (y - yi).astype(np.float32)[:, None, None], (x - xi).astype(np.float32)[:, None]
        rows = scene[yi] * (1 - wy) + scene[yi + 1] * wy
        video[i] = rows[:, xi] * (1 - wx) + rows[:, xi + 1] * wx
    return video


def _contrast(rng: np.random.Generator) -> float:
    return float(rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.08), np.log(0.6))))


def _project(p: Array, camera: Array, aspect: float) -> Array:
    """World ``[F, N, 2]`` to pixels, through the camera."""
    q = p / np.array([aspect, 1.0], np.float32) - 0.5
    q = q * np.exp(camera[:, 2])[:, None, None] + camera[:, None, :2] + 0.5
    return np.asarray(q * SIZE, np.float32)


def _paint(
    rng: np.random.Generator,
    video: Array,
    dense: Array,
    mover: Mover,
    camera: Array,
    aspect: float,
    contrast: float,
) -> None:
    """Draw a mover's capsules back to front into ``video`` and its targets into ``dense``."""
    zoom = np.exp(camera[:, 2])
    a, b = _project(mover.a, camera, aspect), _project(mover.b, camera, aspect)
    reach = (mover.r.max(-1) * zoom[:, None] * SIZE).max() / min(aspect, 1.0) + 2
    ends = np.concatenate([a, b], 1)[:FRAMES]
    low = np.clip(np.floor((ends.min((0, 1)) - reach) / CELL), 0, GRID).astype(int)
    high = np.clip(np.ceil((ends.max((0, 1)) + reach) / CELL), 0, GRID).astype(int)
    if (high <= low).any():
        return
    (x0, y0), (x1, y1) = low * CELL, high * CELL
    # Pixel centres in units where a disc is round: world units times SIZE.
    x = ((np.arange(x0, x1) + 0.5) * aspect).astype(np.float32)
    y = (np.arange(y0, y1) + 0.5).astype(np.float32)
    stretch = np.array([aspect, 1.0], np.float32)
    aw, bw = (a * stretch).astype(np.float32), (b * stretch).astype(np.float32)
    rw = (mover.r * zoom[:, None, None] * SIZE).astype(np.float32)
    region = video[:, y0:y1, x0:x1]
    under = region.mean() if rng.random() < 0.7 else rng.uniform(0.1, 0.9)
    base = np.clip(under + contrast, 0.03, 0.97)
    tint = (rng.normal(0, 0.06, 3) * (rng.random() < 0.5)).astype(np.float32)
    grain = rng.uniform(0, 0.12) if rng.random() < 0.6 else 0.0
    pattern = _noise(rng, 64) if grain else None
    patchy = rng.uniform(0, 0.12)
    shading = rng.uniform(-0.02, 0.12)
    soft = rng.uniform(0.7, 1.6)
    cover = np.zeros((len(GROUPS), *region.shape[:3]), np.float32)
    moving = np.zeros((3, *region.shape[:3]), np.float32)
    speed = _speeds(mover, a, b).astype(np.float32)
    for p in range(a.shape[1]):
        if rw[0, p].max() <= 0:
            continue
        rows, cols = _box(aw[:FRAMES, p], bw[:FRAMES, p], rw[:FRAMES, p], x, y)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            continue
        part = (slice(None), rows, cols)
        d, s, u, v = _capsule(x[cols], y[rows], aw[:FRAMES, p], bw[:FRAMES, p], rw[:FRAMES, p])
        alpha = np.clip(0.5 - d / soft, 0, 1)
        shade = np.float32(base + patchy * rng.standard_normal()) - np.float32(shading) * s
        if pattern is not None:
            scale = np.float32(3.0 * 64 / (SIZE * mover.size + 1))
            iu, iv = ((k * scale).astype(np.int32) & 63 for k in (u, v))
            shade = shade + np.float32(grain) * pattern[iv, iu]
        clear = 1 - alpha
        here = region[part]
        here *= clear[..., None]
        here += (alpha * shade)[..., None] + alpha[..., None] * tint
        cover[:, *part] *= clear
        cover[mover.group[p], *part] += alpha
        for k in range(3):
            moving[k][part] += alpha * (speed[p, k][:, None, None] - moving[k][part])
    total = cover.sum(0)
    n, h, w = total.shape
    shape = (n, h // CELL, CELL, w // CELL, CELL)

    def cells(z: Array) -> Array:
        return np.asarray(z.reshape(shape).mean((2, 4)))

    target = dense[:, low[1] : high[1], low[0] : high[0]]
    share = cells(total)
    target[..., :-3] *= (1 - share)[..., None]
    for g in range(len(GROUPS)):
        target[..., g] += cells(cover[g])
    for k in range(3):
        inside = cells(moving[k] * total) / (share + 1e-3)
        seen = np.clip(4 * share, 0, 1)  # a cell moves as its mover does once a quarter is covered
        target[..., k - 3] += seen * (inside - target[..., k - 3])


def _box(a: Array, b: Array, r: Array, x: Array, y: Array) -> tuple[slice, slice]:
    """Rows and columns of the region that a capsule touches at any time."""
    ends = np.concatenate([a, b])
    low, high = ends.min(0) - r.max() - 2, ends.max(0) + r.max() + 2
    rows = slice(*(int(i) for i in np.searchsorted(y, [low[1], high[1]])))
    return rows, slice(*(int(i) for i in np.searchsorted(x, [low[0], high[0]])))


def _capsule(x: Array, y: Array, a: Array, b: Array, r: Array) -> tuple[Array, Array, Array, Array]:
    """Signed distance of ``[F, H, W]`` pixels to tapered capsules; -y shading and local u, v."""
    ab = b - a
    length2 = (ab**2).sum(-1) + 1e-6
    length = np.sqrt(length2)[:, None, None]
    px, py = x[None, None] - a[:, 0, None, None], y[None, :, None] - a[:, 1, None, None]
    along = px * ab[:, 0, None, None] + py * ab[:, 1, None, None]
    across = (py * ab[:, 0, None, None] - px * ab[:, 1, None, None]) / length
    t = np.clip(along / length2[:, None, None], 0, 1)
    dx, dy = px - t * ab[:, 0, None, None], py - t * ab[:, 1, None, None]
    radius = r[:, 0, None, None] + t * (r[:, 1] - r[:, 0])[:, None, None]
    d = np.sqrt(dx * dx + dy * dy) - radius
    s = np.clip(dy / (radius + 1e-3), -1, 1)
    return d, s, along / length, across


def _speeds(mover: Mover, a: Array, b: Array) -> Array:
    """``[P, 3, FRAMES]``: displacement x, y (px per frame) and speed relative to the torso."""
    step = np.diff(0.5 * (a + b), axis=0)  # [FRAMES, P, 2]
    torso = step[:, mover.group == 0].mean(1, keepdims=True)
    own = np.linalg.norm(step - torso, axis=-1)
    return np.concatenate([step, own[..., None]], -1).transpose(1, 2, 0)


def _occlude(rng: np.random.Generator, video: Array) -> None:
    """Bars or a post in front of the scene, now and then."""
    if rng.random() > 0.15:
        return
    width, every = int(rng.integers(1, 4)), int(rng.integers(10, 60))
    shade = rng.uniform(0, 1)
    for start in range(int(rng.integers(every)), SIZE, every):
        bar = video[:, :, start : start + width]
        bar += rng.uniform(0.5, 1) * (shade - bar)


def _sensor(rng: np.random.Generator, video: Array) -> np.ndarray[Any, Any]:
    """Blur, light, flicker, noise, colour or grey; to uint8."""
    if rng.random() < 0.5:
        video -= 0.5 * (video - video.mean(-1, keepdims=True)) * rng.uniform(0, 2)
    elif rng.random() < 0.5:  # infrared: no colour at all
        video[:] = video.mean(-1, keepdims=True)
    if rng.random() < 0.35:
        k = rng.uniform(0.1, 0.3)
        for axis in (1, 2):
            inner = (1 - 2 * k) * video + k * (np.roll(video, 1, axis) + np.roll(video, -1, axis))
            video = inner
    if rng.random() < 0.3:
        video *= (1 + rng.normal(0, rng.uniform(0, 0.03), FRAMES))[:, None, None, None]
    if rng.random() < 0.3:
        video = np.clip(video, 0, 1) ** rng.uniform(0.6, 1.6)
    level = rng.uniform(0, 0.035) if rng.random() < 0.8 else 0.0
    noise = rng.standard_normal(video.shape[:3], dtype=np.float32) * level
    if rng.random() < 0.3:  # compressed video holds its noise still
        noise[:] = noise[:1]
    video = video + noise[..., None]
    if rng.random() < 0.15:
        video = 1 - video
    return (np.clip(video, 0, 1) * 255 + 0.5).astype(np.uint8)


def _values(cast: list[Mover], camera: Array, aspect: float, t: Array) -> tuple[Array, Array]:
    """Global targets of the one mover, and which of them are known (none with two movers)."""
    values, known = np.zeros(len(VALUES), np.float32), np.zeros(len(VALUES), np.float32)
    span = camera[-2] - camera[0]
    values[:3], known[:3] = span * np.array([10, 10, 10], np.float32), 1
    values[3], known[3] = len(cast), 1
    if len(cast) != 1:
        return values, known
    mover = cast[0]
    a, b = (_project(p, camera, aspect)[:FRAMES] / SIZE for p in (mover.a, mover.b))
    shown = mover.r.max((0, 2)) > 0
    ends = np.concatenate([a[:, shown], b[:, shown]], 1)  # [F, 2P, 2] in 0..1
    low, high = ends.min(1), ends.max(1)
    centre, extent = 0.5 * (low + high), high - low
    px = mover.size * SIZE
    steps = np.linalg.norm(np.diff(0.5 * (a + b), axis=0) * SIZE, axis=-1)
    own = _speeds(mover, a * SIZE, b * SIZE)[:, 2]
    energy = [own[(mover.group == g) & shown] for g in range(len(GROUPS))]
    by_part = [np.log(0.02 + (e.mean() if e.size else 0.0) * 20 / px) for e in energy]
    post = mover.posture[:FRAMES]
    first, last = post[:2].mean(0), post[-2:].mean(0)
    parts = [
        (centre[0] - 0.5) * 4,
        (centre[-1] - 0.5) * 4,
        (centre[-1] - centre[0]) * 8,
        np.log(extent.mean(0) + 0.02) + 1.5,
        (np.log(extent[-1] + 0.02) - np.log(extent[0] + 0.02)) * 3,
        [np.log(steps[:, shown].mean() + 0.02) + 1],
        by_part,
        [np.log(px) - 3],
        first * 1.5,
        last * 1.5,
        (last - first) * 2,
        [np.log(mover.frequency) - 1 if mover.frequency else 0.0],
    ]
    flat = np.concatenate([np.asarray(p, np.float32).ravel() for p in parts])
    values[4 : 4 + len(flat)] = flat
    known[4 : 4 + len(flat)] = 1
    if mover.rigid:
        known[21:-1] = 0
    if not mover.frequency:
        known[-1] = 0
    return values, known
