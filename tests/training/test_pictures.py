"""Pictures of confusion matrices: shares as colours, counts where there is room."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from actionspace.training.pictures import EMPTY, FULL, PAPER, confusion_picture


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def share_of(picture: np.ndarray, colour: str) -> float:
    return float((np.abs(picture.astype(int) - rgb(colour)).max(axis=-1) <= 2).mean())


def test_colours_are_shares_of_the_row():
    counts = np.array([[1, 0, 0], [0, 1000, 0], [0, 0, 0]])
    picture = confusion_picture(counts, ["a", "b", "c"])
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    full, empty = share_of(picture, FULL), share_of(picture, EMPTY)
    assert full == pytest.approx(2 / 7 * empty, rel=0.1)  # one of one, like a thousand of them
    assert (picture[0, 0] == rgb(PAPER)).all()
    half = confusion_picture(np.array([[1, 1], [0, 1]]), ["a", "b"])
    assert share_of(half, FULL) < share_of(confusion_picture(np.eye(2), ["a", "b"]), FULL)


def test_rows_are_truth():
    picture = confusion_picture(np.array([[0, 5], [0, 0]]), ["a", "b"])
    y, x = np.argwhere(np.abs(picture.astype(int) - rgb(FULL)).max(axis=-1) <= 2).mean(axis=0)
    ys, xs = np.argwhere(np.abs(picture.astype(int) - rgb(EMPTY)).max(axis=-1) <= 2).T
    assert y < ys.mean() and x > xs.mean()  # above and to the right


@pytest.mark.parametrize("n", [1, 6, 20, 45, 400])
def test_any_number_of_classes_has_a_picture_of_sane_size(n: int):
    names = [f"behaviour_number_{i}_with_a_very_long_name" for i in range(n)]
    picture = confusion_picture(np.eye(n) * 3, names, title="epoch 3")
    assert 200 <= picture.shape[0] <= 1300 and 200 <= picture.shape[1] <= 1300


def test_strange_names_do_no_harm():
    names = ["$\\frac{$", "猫 grooming", "<b>&", "a|b", ""]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = confusion_picture(np.eye(5, dtype=int), names, title="$x_")
    assert share_of(picture, FULL) > 0.02
