"""The list of published models and embeddings."""

from __future__ import annotations

import actionspace as A
from actionspace.alignment.published import PUBLISHED, list_published
from actionspace.encoders.weights import list_weights


def test_all_are_listed_with_page_and_licence() -> None:
    lines = list_published()
    assert len(lines) == len(PUBLISHED) == len({line.name for line in lines})
    for line in lines:
        assert line.url.startswith("https://drive.google.com/") and line.licence and line.note
        assert line.status.startswith("by hand")
    assert not {line.name for line in lines} & {line.name for line in list_weights()}
    assert [line["name"] for line in A.list_things("weights", "carl_pouring")] == ["carl_pouring"]


def test_names_fit_a_pattern() -> None:
    models = [line.name for line in list_published("carl_*")]
    assert models == ["carl_pouring", "carl_pennaction", "carl_finegym", "carl_kinetics400"]
    [features] = list_published("features_*")
    assert features.architecture == "features" and features.url.count(" or ") == 1
