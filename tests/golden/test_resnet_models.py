"""ResNets, SlowFast and Inception-I3D against the original code, whatever the manifests list."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.golden.x3d import Case, fill, inputs, key_files, model_cases, worst

CASES = model_cases(
    "create_resnet", "create_slowfast", "slow", "c2d_r50", "i3d_r50", "InceptionI3d"
)
FAMILIES = ("slow", "slowfast", "c2d", "i3d", "inception")
KEYS = [(i, d) for i, d in key_files("*.json") if d.get("model", "").startswith(FAMILIES)]
MAPS = [(i, d) for i, d in key_files("pyslowfast_map_*.json") if d["arch"] in FAMILIES]
DEPTHS = {18: (1, 1, 1, 1), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
I3D = ((3,), (3, 1), (3, 1), (1, 3))


def _frames(kernels: Any) -> Any:
    """Per stage, the temporal extents of kernels given as triples, or lists of them to repeat."""
    if kernels == "I3D":
        return I3D
    return [[k[0]] if isinstance(k[0], int) else [each[0] for each in k] for k in kernels]


def _resnet_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    renamed: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "depths": ("model_depth", DEPTHS.__getitem__),
        "width": ("stem_dim_out", int),
        "stem_frames": ("stem_conv_kernel_size", lambda kernel: kernel[0]),
        "halve_time": ("stage1_pool", bool),
        "block_frames": ("stage_conv_a_kernel_size", _frames),
        "window": ("head_pool_kernel_size", tuple),
    }
    return {new: make(kwargs[old]) for new, (old, make) in renamed.items() if old in kwargs}


def _slowfast_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    renamed: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "depths": ("model_depth", DEPTHS.__getitem__),
        "width": ("stem_dim_outs", lambda dims: dims[0]),
        "beta_inv": ("slowfast_channel_reduction_ratio", lambda ratio: ratio[0]),
        "alpha": ("slowfast_fusion_conv_stride", lambda stride: stride[0]),
        "fuse_frames": ("slowfast_fusion_conv_kernel_size", lambda kernel: kernel[0]),
        "window": ("head_pool_kernel_sizes", lambda sizes: tuple(sizes[0])),
    }
    return {new: make(kwargs[old]) for new, (old, make) in renamed.items() if old in kwargs}


def _network(case: Case) -> Any:
    from actionspace.encoders.inception_i3d import InceptionI3D
    from actionspace.encoders.published import NETWORKS
    from actionspace.encoders.reading import network_class
    from actionspace.encoders.resnet3d import ResNet3D
    from actionspace.encoders.slowfast import SlowFast

    builder, kwargs = case.entry["builder"], case.kwargs
    if builder == "create_resnet":
        return ResNet3D(**_resnet_arguments(kwargs), pool="sliding")
    if builder == "create_slowfast":
        return SlowFast(**_slowfast_arguments(kwargs), pool="sliding")
    if builder == "InceptionI3d":
        return InceptionI3D(in_channels=kwargs["in_channels"], pool="sliding")
    known = NETWORKS[builder]
    return network_class(known.network)(**known.options(), pool="sliding")


def _published(net: Any, classes: int) -> dict[str, Any]:
    """The state of ``net`` and a classifier under the names of the original."""
    import torch

    from actionspace.encoders import keys_inception, keys_resnet
    from actionspace.encoders.inception_i3d import InceptionI3D

    head = {"head.weight": torch.zeros(classes, net.dim), "head.bias": torch.zeros(classes)}
    plain = dict(net.state_dict()) | head
    if isinstance(net, InceptionI3D):
        return keys_inception.from_plain(plain, "pytorch_i3d")
    halve = getattr(net, "halve_time", False)
    return keys_resnet.from_plain(plain, "pytorchvideo", halve_time=halve)


def _load(case: Case, stored: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The case's network with its weights, and its classifier's."""
    import torch

    from actionspace.encoders import keys, keys_inception, keys_resnet
    from actionspace.encoders.fit import fit_state

    net = _network(case)
    state = {k.removeprefix("state/"): v for k, v in stored.items() if k.startswith("state/")}
    if not state:
        classes = case.kwargs.get("num_classes", case.kwargs.get("model_num_class", 400))
        state = fill(_published(net, classes))
    family = keys_inception if case.entry["builder"] == "InceptionI3d" else keys_resnet
    backbone, head = keys.split_head(family.to_plain(state, family.detect_layout(state)))
    fit_state(net, backbone, what=case.id)
    assert len(state) == case.entry["keys"]
    parameters = sum(p.numel() for p in net.parameters()) + sum(v.numel() for v in head.values())
    assert parameters == case.entry["params"]
    assert torch.is_tensor(head["weight"])
    return net.eval(), head


def _keep(net: Any, family: str) -> dict[str, Any]:
    """Let the network write what its layers give into the returned dictionary."""
    kept: dict[str, Any] = {}

    def before(name: str, _module: Any, args: Any) -> None:
        kept[name] = args[0]

    def after(name: str, _module: Any, _args: Any, out: Any) -> None:
        kept[name] = out

    if family == "slowfast":  # The slow stages are fed with what has been fused.
        for i, (slow, fast) in enumerate(zip(net.slow.stages, net.fast.stages, strict=True)):
            slow.register_forward_pre_hook(partial(before, f"block{i}.0"))
            fast.register_forward_pre_hook(partial(before, f"block{i}.1"))
        slow.register_forward_hook(partial(after, "block4.0"))
        fast.register_forward_hook(partial(after, "block4.1"))
    elif family == "inception":
        for name, stage in net.stages.named_children():
            stage.register_forward_hook(partial(after, f"stage.{name}"))
    else:
        for i, stage in enumerate(net.stages):
            shift = 2 if net.halve_time and i else 1
            stage.register_forward_pre_hook(partial(before, f"block{i + shift - 1}.0"))
            stage.register_forward_hook(partial(after, f"block{i + shift}.0"))
    return kept


@pytest.mark.skipif(not CASES, reason="no golden/x3d case of these networks here")
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_model(case: Case, record_property: Callable[[str, object], None]) -> None:
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file

    stored = load_file(case.file)
    net, head = _load(case, stored)
    family = "inception" if "Inception" in case.entry["builder"] else "resnet"
    family = "slowfast" if "slowfast" in case.entry["builder"] else family
    kept = _keep(net, family)
    outputs = {n.split(".every")[0].split(".mean")[0] for n in stored if n.startswith("out/")}
    errors = []
    for run in range(len(case.entry["inputs"])):
        clips = inputs(case, run, stored)
        with torch.no_grad():
            pooled = net.forward_pathways(*clips) if family == "slowfast" else net(*clips)
            positions = F.linear(pooled.movedim(1, -1), head["weight"], head["bias"])
        got = kept | {"pooled": pooled, "features": pooled, "logits": positions.mean((1, 2, 3))}
        if family == "resnet":
            got["features"] = kept[max(kept)]  # The last block's output.
        elif family == "slowfast":
            got["block5.0"] = pooled
        else:  # It squeezes its last sides, and has no mean over time.
            got["logits"] = positions.movedim(-1, 1).squeeze(3).squeeze(3)
        for name in {n for n in outputs if n.startswith(f"out/{run}.")}:
            errors.append(worst(got[name.removeprefix(f"out/{run}.")], stored, name))
    record_property("max_relative_error", max(errors))
    print(f"{case.id}: max error {max(errors):.2e} of the largest value")


@pytest.mark.skipif(not KEYS, reason="no golden/x3d key list of these networks here")
@pytest.mark.parametrize("listed", [d for _, d in KEYS], ids=[i for i, _ in KEYS])
def test_key_list(listed: dict[str, Any]) -> None:
    """The names and shapes of a published file and of ours are the same, both ways."""
    import torch

    from actionspace.encoders import keys_inception, keys_resnet
    from actionspace.encoders.published import NETWORKS
    from actionspace.encoders.reading import network_class

    name = listed["model"].removesuffix("_rgb")
    shapes = {key["key"]: tuple(key["shape"]) for key in listed["keys"]}
    classes = max(s[0] for k, s in shapes.items() if "proj." in k or "logits." in k)
    known = NETWORKS[name]
    with torch.device("meta"):
        net = network_class(known.network)(**known.options())
        published = _published(net, classes)
        wanted = {key: torch.empty(shape) for key, shape in shapes.items()}
    assert {k: tuple(v.shape) for k, v in published.items()} == shapes
    family = keys_inception if "inception" in name else keys_resnet
    plain = family.to_plain(wanted, family.detect_layout(wanted))
    assert {k: v.shape for k, v in plain.items() if not k.startswith("head.")} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    assert plain["head.weight"].shape == (classes, net.dim)
    assert known.parameters(classes) == listed["params"]


@pytest.mark.skipif(not MAPS, reason="no golden/x3d key map of these networks here")
@pytest.mark.parametrize("mapped", [d for _, d in MAPS], ids=[i for i, _ in MAPS])
def test_pyslowfast_names(mapped: dict[str, Any]) -> None:
    """PySlowFast's names and pytorchvideo's are the same of ours, and lead back."""
    from actionspace.encoders.keys_resnet import detect_layout, from_plain, to_plain

    table: dict[str, Any] = mapped["pyslowfast_to_pytorchvideo"]
    there: dict[str, Any] = {name: name for name in table}
    here: dict[str, Any] = {name: name for name in table.values()}
    assert (detect_layout(there), detect_layout(here)) == ("pyslowfast", "pytorchvideo")
    one: dict[str, Any] = to_plain(there, "pyslowfast")
    other: dict[str, Any] = to_plain(here, "pytorchvideo")
    assert {table[name]: plain for plain, name in one.items()} == {
        name: plain for plain, name in other.items()
    }
    assert from_plain(one, "pyslowfast") == there
    halve = mapped["arch"] in ("i3d", "c2d")
    assert from_plain(other, "pytorchvideo", halve_time=halve) == here
