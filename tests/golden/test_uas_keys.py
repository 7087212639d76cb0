"""Key layouts of the official checkpoints: every name and shape, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.uas import key_lists, model_cases

LISTS = key_lists()
CASES = [c for c in model_cases() if c.manifest["models"][c.entry["model"]].get("weights")]
FILES = {str(c.file(c.manifest["models"][c.entry["model"]]["weights"])): c for c in CASES}


def _state(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """A state dict of the listed shapes that takes no memory."""
    import torch

    return {
        e["key"]: torch.zeros((), dtype=getattr(torch, e["dtype"])).expand(e["shape"])
        for e in entries
    }


def _shapes(state: dict[str, Any]) -> dict[str, tuple[list[int], str]]:
    return {k: (list(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in state.items()}


@pytest.mark.skipif(not LISTS, reason="no golden/uas key list here")
@pytest.mark.parametrize("name,keys", LISTS, ids=[name for name, _ in LISTS])
def test_published_keys_convert_both_ways(name: str, keys: dict[str, Any]) -> None:
    from actionspace.encoders.keys import (
        detect_layout,
        from_plain,
        guess_architecture,
        split_head,
        to_plain,
    )
    from actionspace.encoders.swin3d import SwinTransformer3D

    official = _state(keys["mmaction0"])
    assert detect_layout(official) == "mmaction0"
    plain = to_plain(official)
    guess = guess_architecture(plain)
    window = guess.architecture.window_size
    parameters = sum(v.numel() for v in plain.values())
    assert parameters == keys["n_params"]
    assert guess.architecture.parameters() == keys["n_params_backbone"]
    assert guess.architecture.parameters(guess.classes) == keys["n_params"]

    import torch

    with torch.device("meta"):
        net = SwinTransformer3D(**guess.architecture.options())
    assert _shapes(net.state_dict()) == _shapes(split_head(plain)[0])

    assert _shapes(from_plain(plain, "mmaction0", window=window)) == _shapes(official)
    expected = {e["mmaction2_1x"]: (e["shape"], e["dtype"]) for e in keys["mmaction0"]}
    newer = from_plain(plain, "mmaction2_1x", window=window)
    assert _shapes(newer) == expected
    assert detect_layout(newer) == "mmaction2_1x"
    assert _shapes(to_plain(newer)) == _shapes(plain)

    (theirs,) = (value for key, value in keys.items() if key.startswith("torchvision"))
    other = from_plain(plain, "torchvision", window=window)
    assert _shapes(other) == {e["key"]: (e["shape"], e["dtype"]) for e in theirs}
    assert {e["torchvision"] for e in keys["mmaction0"]} == set(other)
    assert detect_layout(other) == "torchvision"
    assert _shapes(to_plain(other)) == _shapes(plain)


@pytest.mark.skipif(not FILES, reason="no golden/uas weight files here")
@pytest.mark.parametrize("path", FILES, ids=[f"uas-{c.entry['model']}" for c in FILES.values()])
def test_weight_files_round_trip(path: str) -> None:
    import torch

    from actionspace.encoders.keys import detect_layout, from_plain, merge_original_lora, to_plain
    from actionspace.encoders.weights import load_state

    case = FILES[path]
    window = case.manifest["models"][case.entry["model"]]["config"]["window_size"]
    official = load_state(path)
    plain = to_plain(official)
    back = from_plain(plain, "mmaction0", window=tuple(window))
    assert {k: v for k, v in back.items() if k in official}.keys() == official.keys()
    for key, value in official.items():
        assert torch.equal(back[key], value), key
    merged = merge_original_lora(plain)
    for layout in ("mmaction2_1x", "torchvision"):
        other = from_plain(merged, layout, window=tuple(window))
        wrapped = {f"module.{key}": value for key, value in other.items()}
        assert detect_layout(wrapped) == layout
        again = to_plain(wrapped)
        assert again.keys() == merged.keys()
        assert all(torch.equal(again[key], merged[key]) for key in merged)
