"""How well a training run reads rendered clips it has not seen: JSON.

    python scripts/starter/evaluate.py runs/starter [--clips 400]

Area under the ROC curve for each motion (0.5 = chance), and the share of variance explained for
groups of values. No real video is touched.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import render
import torch
from train import Trainee

from actionspace.encoders.starter import MOTIONS, VALUES

HELD_OUT_SEED = 1_000_003


def groups() -> dict[str, list[int]]:
    """Places of the values that belong together, by name without their number."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(VALUES):
        found.setdefault(name.rstrip("0123456789").rstrip("_"), []).append(i)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--clips", type=int, default=400)
    args = parser.parse_args()
    saved = torch.load(args.run / "state.pt", weights_only=True)
    model = Trainee().eval()
    model.load_state_dict(saved["average"])
    logits, guessed, clips = [], [], []
    with torch.inference_mode():
        for i in range(args.clips):
            clip = render.render(HELD_OUT_SEED, i)
            motions, values, _ = model(torch.from_numpy(clip.pop("frames"))[None], bf16=False)
            logits.append(motions[0].numpy())
            guessed.append(values[0].numpy())
            clips.append(clip)
    truth = {key: np.stack([c[key] for c in clips]) for key in ("motions", "values", "known")}
    score, guess = np.stack(logits), np.stack(guessed)
    result = {
        "steps": saved["step"],
        "auc": {m: _auc(score[:, i], truth["motions"][:, i] > 0) for i, m in enumerate(MOTIONS)},
        "explained": {
            name: _explained(guess[:, s], truth["values"][:, s], truth["known"][:, s] > 0)
            for name, s in groups().items()
        },
    }
    result["auc"]["mean"] = round(float(np.mean(list(result["auc"].values()))), 3)
    print(json.dumps(result, indent=2))


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    above = score[positive][:, None] > score[~positive][None]
    return round(float(above.mean()), 3)


def _explained(guess: np.ndarray, truth: np.ndarray, known: np.ndarray) -> float:
    shares = []
    for g, t, k in zip(guess.T, truth.T, known.T, strict=True):
        shares.append(
            1 - np.square(g[k] - t[k]).sum() / (np.square(t[k] - t[k].mean()).sum() + 1e-9)
        )
    return round(float(np.mean(shares)), 3)


if __name__ == "__main__":
    main()
