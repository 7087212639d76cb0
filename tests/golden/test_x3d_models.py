"""X3D against outputs of the original code, one test per case of the manifests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.golden.x3d import Case, fill, inputs, key_files, model_cases, worst

CASES = model_cases("x3d_", "create_x3d")
LISTS = key_files("x3d_*.json")
MAPS = key_files("pyslowfast_map_x3d.json")
BUILT_FOR = {"x3d_xs": (4, 160), "x3d_s": (13, 160), "x3d_m": (16, 224), "x3d_l": (16, 312)}


def build(case: Case) -> tuple[Any, Any]:
    """The case's backbone, pooling as published, and classifier, with the case's weights."""
    from safetensors.torch import load_file

    from actionspace.encoders import keys_x3d
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.keys import split_head

    net, head = create(case.entry["builder"], case.kwargs)
    stored = load_file(case.file)
    state = {n.removeprefix("state/"): v for n, v in stored.items() if n.startswith("state/")}
    if not state:
        plain = net.state_dict() | {f"head.{n}": v for n, v in head.proj.state_dict().items()}
        state = fill(keys_x3d.from_plain(plain, "pytorchvideo"))
    backbone, linear = split_head(keys_x3d.to_plain(state))
    fit_state(net, backbone, what=case.id)
    fit_state(head.proj, linear, what=case.id)
    return net.eval(), head.eval()


def create(builder: str, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Read pytorchvideo's arguments."""
    from actionspace.encoders.architectures_x3d import round_width
    from actionspace.encoders.x3d import X3D, PositionHead

    depth = kwargs.get("depth_factor", 5.0 if builder == "x3d_l" else 2.2)
    factor = kwargs.get("width_factor", 2.0)
    bases = [kwargs.get("stem_dim_in", 12)]
    for _ in range(3):
        bases.append(round_width(bases[-1], 2.0))
    frames, side = BUILT_FOR.get(builder, (0, 0))
    net = X3D(
        stem_dim=round_width(bases[0], factor),
        widths=[round_width(base, factor) for base in bases],
        depths=[math.ceil(depth * base) for base in (1, 2, 5, 3)],
        head_dim=kwargs.get("head_dim_out", 2048),
        bn_lin5=kwargs.get("head_bn_lin5_on", False),
        pool="sliding",
        built_for=(
            kwargs.get("input_clip_length", frames),
            kwargs.get("input_crop_size", side),
        ),
    )
    softmax = kwargs.get("head_activation") == "Softmax"
    dropout = kwargs.get("dropout_rate", 0.5)
    classes = kwargs.get("model_num_class", 400)
    return net, PositionHead(net.dim, classes, dropout=dropout, softmax=softmax)


@pytest.mark.skipif(not CASES, reason="no golden/x3d X3D case here")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_model(case: Case, record_property: Callable[[str, object], None]) -> None:
    import torch
    from safetensors.torch import load_file

    net, head = build(case)
    parameters = sum(p.numel() for m in (net, head) for p in m.parameters())
    assert parameters == case.entry["params"]
    assert len(net.state_dict()) + 2 == case.entry["keys"]
    stages: dict[str, Any] = {}
    for i, stage in enumerate(net.blocks[:-1]):
        stage.register_forward_hook(
            lambda _m, _i, out, i=i: stages.__setitem__(f"block{i}.0", out.detach().clone())
        )
    stored = load_file(case.file)
    errors = []
    for run in range(len(case.entry["inputs"])):
        expected = {
            name.removeprefix(f"out/{run}."): value
            for name, value in stored.items()
            if name.startswith(f"out/{run}.")
        }
        with torch.no_grad():
            pooled = net(*inputs(case, run, stored))
            logits = head(pooled)
        got = stages | {"features": stages[f"block{len(stages) - 1}.0"], "logits": logits}
        if any(name.startswith("pooled") for name in expected):
            got["pooled"] = pooled
        errors += [worst(value, expected, name) for name, value in got.items()]
    record_property("max_relative_error", max(errors))
    print(f"{case.id}: max error {max(errors):.2e} of the largest value")


@pytest.mark.skipif(not CASES, reason="no golden/x3d X3D case here")
def test_mistakes_would_show() -> None:
    """A case with clips larger than the model was built for tells the poolings apart."""
    import torch
    from safetensors.torch import load_file

    larger = [case for case in CASES if len(case.entry["inputs"]) > 1]
    if not larger:
        pytest.skip("no case here has clips of another size")
    case = larger[0]
    net, head = build(case)
    stored = load_file(case.file)
    run = 1 if case.entry["inputs"][0][0][2] == net.blocks[-1].pool.window[0] else 0
    clips = inputs(case, run, stored)
    with torch.no_grad():
        published = head(net(*clips))
        net.blocks[-1].pool.pool = "global"
        once = head(net(*clips))
    assert worst(published, {"logits": stored[f"out/{run}.logits"]}, "logits") < 1e-4
    with pytest.raises(AssertionError, match="not close"):
        worst(once, {"logits": stored[f"out/{run}.logits"]}, "logits")


@pytest.mark.skipif(not LISTS, reason="no golden/x3d X3D key lists here")
@pytest.mark.parametrize(("name", "content"), LISTS, ids=[name for name, _ in LISTS])
def test_keys_of_the_published_files(name: str, content: dict[str, Any]) -> None:
    """Names, shapes and order are those of the published files, and tell what they are."""
    from actionspace.encoders import keys_x3d

    net, head = create(content["model"], {})
    plain = net.state_dict() | {f"head.{n}": v for n, v in head.proj.state_dict().items()}
    got = keys_x3d.from_plain(plain, "pytorchvideo")
    assert [(name, list(value.shape)) for name, value in got.items()] == [
        (entry["key"], entry["shape"]) for entry in content["keys"]
    ]
    assert keys_x3d.detect_layout(got) == "pytorchvideo"
    guess = keys_x3d.guess_architecture(keys_x3d.to_plain(got))
    assert guess.classes == 400
    assert guess.architecture.parameters(400) == content["params"]


@pytest.mark.skipif(not MAPS, reason="no golden/x3d PySlowFast map of X3D here")
@pytest.mark.parametrize(("name", "content"), MAPS, ids=[name for name, _ in MAPS])
def test_pyslowfast_names(name: str, content: dict[str, Any]) -> None:
    """Every name goes where the map says, and back; the additional ones have a place."""
    import torch

    from actionspace.encoders import keys_x3d
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.x3d import X3D

    table = content["pyslowfast_to_pytorchvideo"]
    state = {other: torch.tensor(float(i)) for i, other in enumerate(table)}
    plain = keys_x3d.to_plain(state)
    published = keys_x3d.from_plain(plain, "pytorchvideo")
    assert {other: published[own] for other, own in table.items()} == state
    assert len(published) == len(state)
    assert keys_x3d.from_plain(plain, "pyslowfast") == state
    net = X3D(shortcut_bn_on_stride=True)
    whole = keys_x3d.from_plain(net.state_dict(), "pyslowfast")
    assert set(whole) - set(table) == set(content["extra_in_pyslowfast"])
    fit_state(net, keys_x3d.to_plain(whole), what="PySlowFast's names")
