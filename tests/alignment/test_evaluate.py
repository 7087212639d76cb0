from __future__ import annotations

import numpy as np
import pytest

from actionspace.alignment.evaluate import Labelled, evaluate_alignment
from actionspace.alignment.protocols import PROTOCOLS, protocol
from actionspace.errors import DataError, UsageError


def videos(count: int, seed: int, phases: int = 3) -> Labelled:
    """Videos of varying speed whose embeddings follow the phase and its progress."""
    rng = np.random.default_rng(seed)
    parts = [np.repeat(np.arange(phases), rng.integers(6, 12, phases)) for _ in range(count)]
    turned = [np.linspace(0, phases, len(p)) for p in parts]
    embeddings = [
        np.column_stack([np.cos(t), np.sin(t), t]) + 0.02 * rng.normal(size=(len(t), 3))
        for t in turned
    ]
    return Labelled.of(embeddings, parts)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_measures_what_it_names(name: str) -> None:
    chosen = protocol(name, tau_stride=2, episodes=2)
    found = evaluate_alignment(videos(6, 0), videos(4, 1), chosen)
    values = found.values
    assert values["phase_classification"] > 0.8
    assert values["phase_progression"] > 0.8
    assert values["kendalls_tau"] > 0.9
    assert (f"AP@{chosen.ks[0]}" in values) == (chosen.retrieval is not None)
    assert ("few_shot@5" in values) == (name == "tcc")
    assert not found.notes
    assert all(0 <= value <= 1 for value in values.values())


def test_a_missing_phase_is_reported_or_handled_by_policy() -> None:
    train, whole = videos(4, 0), videos(3, 1)
    keep = whole.phases[0] != 1
    odd = Labelled.of(
        [whole.embeddings[0][keep], *whole.embeddings[1:]],
        [whole.phases[0][keep], *whole.phases[1:]],
    )
    carl = evaluate_alignment(train, odd, protocol("carl", tau_stride=1))
    assert np.isnan(carl.values["phase_progression"])
    assert "Phase 1 does not occur in validation video 0" in " ".join(carl.notes)
    for name in ("lav", "ae2"):
        assert np.isfinite(
            evaluate_alignment(train, odd, protocol(name, tau_stride=1)).values["phase_progression"]
        )


def test_constant_embeddings_and_one_phase_are_reported() -> None:
    still = Labelled.of([np.ones((4, 2)), np.ones((3, 2))], [np.zeros(4, int), np.zeros(3, int)])
    found = evaluate_alignment(still, still, protocol("carl"))
    assert np.isnan(found.values["kendalls_tau"])
    assert found.values["phase_classification"] == 1
    assert np.isnan(found.values["phase_progression"])
    assert "undefined" in found.notes[0] and "constant" in " ".join(found.notes)


def test_unlabelled_frames_are_dropped() -> None:
    kept = Labelled.of(
        [np.arange(4.0)[:, None], np.ones((2, 1))], [np.array([-1, 0, 1, -1]), np.array([-1, -1])]
    )
    assert kept.embeddings[0].ravel().tolist() == [1, 2]
    assert "Videos [1]" in kept.notes[0]
    with pytest.raises(DataError, match="No frame has a phase"):
        Labelled.of([np.ones((2, 1))], [np.array([-1, -1])])


def test_unknown_protocols_and_settings() -> None:
    with pytest.raises(UsageError, match="Did you mean 'carl'"):
        protocol("crl")
    with pytest.raises(UsageError, match="no such setting"):
        protocol("carl", strides=3)
