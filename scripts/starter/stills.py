"""Real still frames for backgrounds, from openly licensed clips named one by one.

``FOLDERS`` lists what may be read (licences as published beside the files). ``rat_behaviour`` and
``rat_gifs`` are not in it: the starter encoder is measured on the former and must never see it.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

FOLDERS = {
    "fight_surveillance": "MIT",
    "human_videos/asl_gestures": "CC BY 4.0",
    "human_videos/mmaction2": "Apache-2.0",
    "human_videos/videoprism": "Apache-2.0",
    "human_videos/paddlevideo": "Apache-2.0",
    "human_videos/activitynet_samples": "MIT",
    "human_videos/scenes": "CC BY 4.0",
    "animal_videos/chimpbehave_gifs": "MIT",
    "animal_videos/zamba": "MIT",
    "animal_videos/mouse_mirror": "MIT",
}
SUFFIXES = {".mp4", ".avi", ".mkv", ".gif", ".asf", ".webm"}
SIDE = 192


def read_stills(data: Path, per_file: int = 3) -> np.ndarray:
    """Return ``[N, 192, 192, 3]`` uint8: some frames of every file, squashed to a square.

    Only the first 200 frames of a file are looked at; files that cannot be read are left out.
    """
    stills = []
    for folder in FOLDERS:
        for path in sorted((data / folder).rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                stills += _frames(path, per_file)
    if not stills:
        raise SystemExit(f"No readable clips of {', '.join(FOLDERS)} below {data}.")
    return np.stack(stills)


def _frames(path: Path, count: int) -> list[np.ndarray]:
    found = []
    try:
        with av.open(str(path)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i % (200 // count) == 0:
                    small = frame.reformat(SIDE, SIDE, format="rgb24")
                    found.append(small.to_ndarray())
                if len(found) == count or i >= 200:
                    break
    except (av.FFmpegError, IndexError, ValueError):
        pass
    return found
