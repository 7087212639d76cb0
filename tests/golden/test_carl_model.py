"""The networks of CARL against the original: whatever the groups list, forward and backward."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import golden_dirs
from tests.golden.carl import Case, cases, parametrize

FORWARD = {"atol": 1e-5, "rtol": 1e-5}
GRADIENT = {"atol": 1e-4, "rtol": 1e-4}


def _of(group: str, *endings: str) -> list[Case]:
    return [case for case in cases(group) if not endings or case.name.endswith(endings)]


def _state(tensors: dict[str, Any]) -> dict[str, Any]:
    return {n.removeprefix("state."): t for n, t in tensors.items() if n.startswith("state.")}


def _config(params: dict[str, Any], **fields: Any) -> Any:
    """The network that the original's parameters mean; those a case lacks are ours."""
    from actionspace.alignment.network.config import NetworkConfig

    renamed = {
        "hidden_size": "hidden_dim",
        "num_layers": "layers",
        "num_heads": "heads",
        "d_ff": "feed_forward_dim",
        "train_num_frames": "train_frames",
        "embedding_size": "embedding_dim",
        "projection_size": "projection_dim",
        **{n: n for n in ("l2_normalize", "projection", "frames_per_batch", "layer", "dropout")},
    }
    given = {ours: params[theirs] for theirs, ours in renamed.items() if theirs in params}
    if "fc_layers" in params:
        given["fc"] = [width * params["capacity_scalar"] for width, _ in params["fc_layers"]]
    given["fc_dropout"] = params.get("dropout", 0.0)
    return NetworkConfig(**given | fields)


def _close(got: dict[str, Any], want: dict[str, Any], **tolerance: float) -> None:
    import torch

    assert want
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, msg=lambda m, n=name: f"{n}: {m}", **tolerance)


@parametrize(_of("posenc"))
def test_positions(case: Case) -> None:
    import torch

    from actionspace.alignment.network.positions import places, sinusoids

    p = case.params
    table = sinusoids(places(p["seq_len"], p["train_len"]), p["d_model"])[p["rows_kept"]]
    torch.testing.assert_close(table, case.tensors()["table"], atol=1e-9, rtol=0)


def _embedder(case: Case) -> Any:
    from actionspace.alignment.network.embedder import TransformerEmbedder

    name = case.params["model"]
    params = next(other.params for other in cases("embedder") if other.name == name)
    module = TransformerEmbedder(_config(params), params["in_channels"])
    module.load_state_dict(_state(case.tensors(name)))
    return module


@parametrize([c for c in _of("embedder") if c.params.get("train") is False])
def test_embedder(case: Case) -> None:
    import torch

    module, t = _embedder(case).eval(), case.tensors()
    mask = t["mask"][:, 0].bool() if "mask" in t else None
    torch.testing.assert_close(module(t["x"], mask), t["out"], **FORWARD)


@parametrize([c for c in _of("embedder") if c.params.get("train") is True])
def test_embedder_learns(case: Case) -> None:
    import torch

    module, t = _embedder(case).train(), case.tensors()
    x = t["x"].requires_grad_()
    out = module(x, t["mask"][:, 0].bool())
    torch.testing.assert_close(out, t["out"], **FORWARD)
    (out * t["cot"]).sum().backward()
    found = {f"grad.{n}": p.grad for n, p in module.named_parameters()} | {"grad.x": x.grad}
    found |= {f"after.{n}": b for n, b in module.named_buffers()}
    _close(found, {n: v for n, v in t.items() if n.startswith("grad.")}, **GRADIENT)
    _close(found, {n: v for n, v in t.items() if n.startswith("after.")}, **FORWARD)


@parametrize(_of("embedder", "projection_head"))
def test_projection_head(case: Case) -> None:
    import torch.nn.functional as F

    from actionspace.alignment.network.model import Projection

    t = case.tensors()
    head = Projection(_config(case.params))
    head.load_state_dict(_state(t))
    head.eval()
    out = head(t["x"])
    found = {"out_eval": out, "out_eval_l2": F.normalize(out, dim=-1)}
    found["out_train"] = head.train()(t["x"])
    found |= {f"after.{n}": b for n, b in head.named_buffers()}
    _close(found, {n: v for n, v in t.items() if n.startswith(("out", "after"))}, **FORWARD)


@parametrize(_of("embedder", "encoder_layer"))
def test_encoder_layer(case: Case) -> None:
    from actionspace.alignment.network.embedder import visible
    from actionspace.alignment.network.encoder import EncoderLayer

    p, t = case.params, case.tensors()
    layer = EncoderLayer(p["d_model"], p["heads"], p["d_ff"], 0.0)
    layer.load_state_dict(_state(t))
    seen = visible(t["mask"][:, 0])
    found = {"out": layer(t["x"], seen), "attn_mean_heads": layer.attention(t["x"], seen)}
    _close(found, {name: t[name] for name in found}, **FORWARD)


@parametrize(_of("conv_embedder"))
def test_conv_embedder(case: Case) -> None:
    import torch

    from actionspace.alignment.network.embedder import ConvEmbedder, VanillaEmbedder

    p, t = case.params, case.tensors()
    conv = [
        {"channels": c * p["capacity_scalar"], "kernel": k, "time_padding": pad}
        for c, k, pad in p["conv_layers(ch,kernel,temporal_pad)"]
    ]
    make = {"conv": ConvEmbedder, "vanilla": VanillaEmbedder}[p["type"]]
    fields = {"embedder": p["type"], "contexts": p["num_contexts"], "conv": conv}
    module = make(_config(p, **fields), p["in_channels"])
    module.load_state_dict(_state(t))
    torch.testing.assert_close(module.eval()(t["x"]), t["out"], **FORWARD)
    torch.testing.assert_close(module.train()(t["x"]), t["out_train"], **FORWARD)


def _tiny_parts() -> list[Any]:
    """The stand-in of the wrapper's cases: parts in the order of a ResNet's."""
    from torch import nn

    def stage(dim_in: int, dim: int, kernel: int, stride: int) -> nn.Module:
        conv = nn.Conv2d(dim_in, dim, kernel, stride, padding=kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(dim), nn.ReLU())

    stem = [nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    stages = [stage(6, 8, 3, 1), stage(8, 8, 3, 1), stage(8, 10, 3, 2), stage(10, 2048, 1, 1)]
    return [*stem, nn.MaxPool2d(3, 2, 1), *stages]


def _wrapper(case: Case, **fields: Any) -> Any:
    from actionspace.alignment.network.model import AlignmentNetwork

    name = case.params.get("model", case.name)
    params = next(other.params for other in cases("wrapper") if other.name == name)
    config, classes = _config(params, **fields), params.get("num_classes", 0)
    network = AlignmentNetwork(config, params["in_channels"], parts=_tiny_parts(), classes=classes)
    if state := _state(case.tensors(name)):
        network.load_state_dict(state)
    return network


@parametrize(_of("wrapper", "/keys"))
def test_wrapper_names(case: Case) -> None:
    state = _wrapper(case).state_dict()
    assert {n: list(v.shape) for n, v in state.items()} == case.values["state_keys"]


@parametrize(_of("wrapper", "classification"))
def test_wrapper_classifies(case: Case) -> None:
    import torch

    network, t = _wrapper(case, projection=False, l2_normalize=False).eval(), case.tensors()
    logits = network(t["x"], t["masks"].flatten(0, -2), classify=True)
    torch.testing.assert_close(logits, t["logits"], **FORWARD)


@parametrize(_of("wrapper", "/model"))
def test_wrapper_layers(case: Case) -> None:
    network, values = _wrapper(case), case.values
    assert list(range(len(network.backbone))) == values["backbone_children"]
    trained = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert trained == set(values["trainable_prefixes"])


@parametrize(_of("wrapper", "/eval"))
def test_wrapper(case: Case) -> None:
    import torch

    t = case.tensors()
    network, raw = _wrapper(case).eval(), _wrapper(case, l2_normalize=False).eval()
    mask = t["mask"][:, 0]
    with torch.no_grad():
        found = {
            "emb_l2": network(t["x"], mask),
            "proj_l2": network(t["x"], mask, project=True),
            "emb_l2_nomask": network(t["x"]),
            "emb_raw": raw(t["x"], mask),
        }
    _close(found, {n: v for n, v in t.items() if n not in ("x", "mask")}, **FORWARD)


@parametrize(_of("wrapper", "/train_step"))
def test_training_step(case: Case) -> None:
    """SCL, its gradients, their clipped norm, Adam's step, and what BatchNorms have seen."""
    import torch

    from actionspace.alignment.losses.config import SclConfig
    from actionspace.alignment.losses.frames import Frames
    from actionspace.alignment.losses.scl import scl_loss

    p, t = case.params, case.tensors()
    network = _wrapper(case).train()
    trained = [q for q in network.parameters() if q.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3, weight_decay=1e-2)
    embedded = network(t["videos"].flatten(0, 1), t["masks"].flatten(0, 1), project=True)
    embedded = embedded.reshape(*t["steps"].shape, -1)
    config = SclConfig(
        temperature=p["temperature"],
        label_variance=p["label_variance"],
        negatives=p["negative_type"],
        compat=True,
    )
    loss = scl_loss(embedded, Frames.of(t["steps"], t["seq_lens"], t["masks"]), config)
    loss.backward()
    still = {n for n, q in network.named_parameters() if q.grad is None}
    assert still == set(case.values["no_grad_params"])
    _close({"loss": loss.reshape(1)}, {"loss": t["loss"]}, **FORWARD)
    norm = torch.nn.utils.clip_grad_norm_(trained, p["grad_clip"])
    _close({"grad_norm": norm.reshape(1)}, {"grad_norm": t["grad_norm"]}, **GRADIENT)
    # They were recorded when clipped; the tolerance is that of the gradients before.
    whole = float(t["grad_norm"]) / p["grad_clip"]
    want = {n: v * whole for n, v in t.items() if n.startswith("grad.")}
    grads = {f"grad.{n}": q.grad for n, q in network.named_parameters()}
    _close({n: grads[n] * whole for n in want}, want, **GRADIENT)
    optimizer.step()
    after = network.state_dict()
    want = {n.removeprefix("after."): v for n, v in t.items() if n.startswith("after.")}
    _close(after, want, **FORWARD)
    first = {n.removeprefix("after64."): v for n, v in t.items() if n.startswith("after64.")}
    _close({n: after[n][:64] for n in first}, first, **FORWARD)


def _recipe(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights that the full models' cases describe, by name and shape."""
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    if len(shape) >= 2:
        value = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(".running_var"):
        value = random.uniform(0.5, 1.5, shape)
    elif name.endswith((".running_mean", ".bias")):
        value = 0.1 * random.standard_normal(shape)
    else:
        value = random.uniform(0.4, 0.8, shape)
    return value.astype(np.float32)


#: What configurations of the original mean by themselves.
CONFIGURED: dict[str, dict[str, Any]] = {
    "scl_transformer_config.yml": {"layers": 2, "train_frames": 240},
    "scl_transformer_action_config.yml": {"layers": 3, "train_frames": 80},
    "scl_transformer_finegym_config.yml": {"layers": 3, "train_frames": 240},
    "scl_transformer_k400_pretrain_config.yml": {"layers": 2, "train_frames": 80},
    "scl_config.yml": {"embedder": "conv"},
    "scl_action_config.yml": {"embedder": "conv"},
    "scl_finegym_config.yml": {"embedder": "conv"},
}


@parametrize([c for c in _of("full_model") if c.params["config"] in CONFIGURED])
def test_full_model(case: Case) -> None:
    import torch

    from actionspace.alignment.network.config import NetworkConfig
    from actionspace.alignment.network.create import create_network

    p, t = case.params, case.tensors()
    fields = CONFIGURED[p["config"]] | {"contexts": p["num_contexts"]}
    with torch.device("meta"):
        network = create_network(NetworkConfig(**fields))
    state = {
        n: torch.from_numpy(_recipe(n, tuple(v.shape))) for n, v in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    network.eval()
    x = np.random.RandomState(p["input_seed"]).standard_normal(p["input_shape"])
    x = torch.from_numpy(x.astype(np.float32))
    with torch.no_grad():
        maps = network.backbone(x.flatten(0, 1))
        found = {
            "emb": network(x),
            "proj": network(x, project=True),
            "backbone_mean_per_channel64": maps.mean((2, 3))[:, :64],
            "backbone_abs_mean": maps.abs().mean().reshape(1),
        }
        if "layer4_max_per_channel64" in t:
            found["layer4_max_per_channel64"] = network.res_finetune(maps).amax((2, 3))[:, :64]
        if "emb_masked_last2" in t:
            valid = torch.arange(p["num_frames"]) < p["num_frames"] - 2
            found["emb_masked_last2"] = network(x, valid[None])
    _close(found, t, **FORWARD)


def _layouts() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for path in (Path(root) / "carl" / "key_layout.json" for root in golden_dirs()):
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            for name, model in content["models"].items():
                shared = content.get(model.get("plus_shared", ""), {})
                found.setdefault(name, (model, shared | model["keys"]))
    return found


KEYS = _layouts()


@pytest.mark.skipif(not KEYS, reason="no golden/carl key layouts here")
@pytest.mark.parametrize("name", KEYS)
def test_names_and_shapes(name: str) -> None:
    """From names and shapes alone comes a network that has exactly these."""
    import torch

    from actionspace.alignment.keys import classes_and_dim, network_state, told_options
    from actionspace.alignment.network.config import NetworkConfig
    from actionspace.alignment.network.create import create_network

    model, layout = KEYS[name]
    with torch.device("meta"):
        state = network_state(
            {n: torch.empty(s, dtype=getattr(torch, d)) for n, (s, d) in layout.items()}
        )
        classes, _ = classes_and_dim(state)
        network = create_network(NetworkConfig(**told_options(state)), classes=classes)
    own = network.state_dict()
    assert {n: (v.shape, v.dtype) for n, v in own.items()} == {
        n: (v.shape, v.dtype) for n, v in state.items()
    }
    assert len(own) == model["num_keys"]
    assert sum(p.numel() for p in network.parameters()) == model["num_params"]
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert trained == model.get("trainable_when_frozen", trained)


TRAINED = [c for c in cases("schedule") if "train_base" in c.params]
BASES = {"frozen": "frozen", "only_bn": "bn", "train_all": "all"}


@parametrize([c for c in TRAINED if c.params["config"] in CONFIGURED])
def test_what_is_trained(case: Case) -> None:
    """The parameters that the original gives its optimiser."""
    import torch

    from actionspace.alignment.network.config import NetworkConfig
    from actionspace.alignment.network.create import create_network

    fields = CONFIGURED[case.params["config"]]
    base, values = BASES[case.params["train_base"]], case.values
    with torch.device("meta"):
        network = create_network(NetworkConfig(**fields, train_base=base))
    norms = {
        f"{prefix}.{name}"
        for prefix, module in network.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        for name, _ in module.named_parameters(recurse=False)
    }
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert len(norms & trained.keys()) == values["bn_group_count"]
    assert len(trained.keys() - norms) == values["other_group_count"]
    assert sum(p.numel() for p in trained.values()) == values["total_params_in_optimizer"]
    assert {*values["bn_group_first"], *values["bn_group_last"]} <= norms & trained.keys()
    assert [n for n in trained if n not in norms][:4] == values["other_first"]
