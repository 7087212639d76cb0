"""Make the clips that ship with the demo: `python scripts/make_demo_clips.py RAT_BEHAVIOUR_DIR`.

Source: the rat_behaviour selection of github.com/alllliceee/yolo_behavior (Apache-2.0): real
white rats in a home cage, 1920x1080, 25 fps, 16 frames each. Each clip is scaled to 480x270 and
encoded as H.264. The class `normal` is left out: it was recorded in one session only, so no
session-grouped split can learn it.
"""

from __future__ import annotations

import csv
import sys
from fractions import Fraction
from pathlib import Path

import av

OUT = Path(__file__).resolve().parents[1] / "src" / "actionspace" / "demo" / "data"
TEST_SESSIONS = {
    "cage1_6_20_22_56",
    "cage1_6_23_17_5",
    "cage2_6_22_0_29",
    "cage2_6_26_22_1",
}
WIDTH, HEIGHT, CRF = 480, 270, 21


def reencode(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as video, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": str(CRF), "preset": "veryslow"}
        stream.codec_context.thread_count = 1  # the same bytes on any machine
        scaler = av.video.reformatter.VideoReformatter()
        for i, frame in enumerate(video.decode(video=0)):
            small = scaler.reformat(frame, WIDTH, HEIGHT, "yuv420p", interpolation="AREA")
            small.pts, small.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(small))
        out.mux(stream.encode())


def main(source: Path) -> None:
    with (source / "public.csv").open(newline="") as f:
        rows = [row for row in csv.DictReader(f) if row["label"] != "normal"]
    with (OUT / "clips.csv").open("w", newline="") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["video", "label", "split", "group"])
        for row in rows:
            name = f"{row['label']}/{Path(row['path']).stem}.mp4"
            reencode(source / row["path"], OUT / name)
            split = "test" if row["session"] in TEST_SESSIONS else "train"
            table.writerow([name, row["label"], split, row["session"]])
    size = sum(p.stat().st_size for p in OUT.rglob("*.mp4"))
    print(f"{len(rows)} clips, {size / 1e6:.2f} MB in {OUT}")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    main(Path(sys.argv[1]))
