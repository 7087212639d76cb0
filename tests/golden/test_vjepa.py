"""V-JEPA 2 and 2.1 against outputs of the original code, one test per case of the manifest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.golden.vjepa import Case, cases, encoder, layout_of, layouts, predictor, x3d_probes

NETWORKS = cases("vjepa2", "vjepa2_1")
PROBES = cases("vjepa2_probe")
X3D_PROBES = x3d_probes()
LOSSES = cases("vjepa2_1_loss")
LAYOUTS = layouts()

Record = Callable[[str, object], None]


@pytest.mark.skipif(not NETWORKS, reason="no golden/vjepa networks here")
@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.id)
def test_network(case: Case, tmp_path: Path, record_property: Record) -> None:
    """Encoders and predictors out of a file as published, every call of the case."""
    import torch

    torch.save(case.checkpoint() | {"epoch": 3, "opt": {"state": {}}}, tmp_path / "w.pt")
    io = case.io()
    errors, nets = [], {}
    with torch.no_grad():
        for call in case.entry["calls"]:
            part = call["part"] if call["op"] == "encoder" else "predictor"
            if part not in nets:
                nets[part] = _make(case, part, tmp_path / "w.pt")
            run = _encode if call["op"] == "encoder" else _predict
            got = run(nets[part], case, call, io)
            names = call["output"] if isinstance(call["output"], list) else [call["output"]]
            assert len(got) == len(names)
            errors += [_compare(case, y, io[name]) for y, name in zip(got, names, strict=True)]
    record_property("max_error", max(errors))
    print(f"{case.id}: max error {max(errors):.1e} in {len(errors)} outputs")


def _make(case: Case, part: str, path: Path) -> Any:
    from actionspace.encoders.checkpoint import read_weights

    if part == "predictor":
        return predictor(case.config, path)
    return encoder(case.config, read_weights(path, part=part)[0])


def _encode(net: Any, case: Case, call: dict[str, Any], io: dict[str, Any]) -> list[Any]:
    masks = call.get("masks")
    masks = [io[name] for name in masks] if masks else None
    layers = call.get("out_layers") or case.config["encoder"].get("out_layers")
    if layers:
        return list(net.encode_layers(io[call["input"]], layers, masks))
    options = {"hierarchical": call["hierarchical"]} if "hierarchical" in call else {}
    return [net.encode(io[call["input"]], masks, **options)]


def _predict(net: Any, case: Case, call: dict[str, Any], io: dict[str, Any]) -> list[Any]:
    tokens = (io[call["input"]], io[call["masks_x"]], io[call["masks_y"]])
    if case.config["family"] == "vjepa2":
        return [net(*tokens, mask_index=call["mask_index"])]
    both = net.predict_both(*tokens, mask_index=call["mask_index"], modality=call["mod"])
    return [y for y in both if y is not None]


def _compare(case: Case, got: Any, expected: Any) -> float:
    import torch

    torch.testing.assert_close(got, expected, rtol=case.entry["rtol"], atol=case.entry["atol"])
    return float((got - expected).abs().max())


@pytest.mark.skipif(not PROBES, reason="no golden/vjepa probes here")
@pytest.mark.parametrize("case", PROBES, ids=lambda case: case.id)
def test_probe(case: Case, record_property: Record) -> None:
    import torch

    from actionspace.heads.attentive_keys import load_probe

    config, io = case.config, case.io()
    (state,) = case.checkpoint().values()
    probe = load_probe(state, num_heads=config["num_heads"])
    with torch.no_grad():
        errors = []
        for call in case.entry["calls"]:
            got = (probe.pooler(io[call["input"]]), probe(io[call["input"]]))
            for name, value in zip(call["output"], got, strict=True):
                errors.append(_compare(case, value, io[name]))
    record_property("max_error", max(errors))
    print(f"{case.id}: max error {max(errors):.1e}")


@pytest.mark.skipif(not X3D_PROBES, reason="no golden/x3d probes here")
@pytest.mark.parametrize("name", X3D_PROBES)
def test_x3d_probe(name: str, record_property: Record) -> None:
    """Probes with one query, and of anticipation with three; and their names, both ways."""
    import torch

    from actionspace.heads.attentive_keys import load_probe, probe_from_plain

    entry, stored = X3D_PROBES[name]
    state = _under("state/", stored)
    probe = load_probe(state, num_heads=entry["kwargs"]["num_heads"])
    back = probe_from_plain(probe.state_dict())
    assert {f"module.{key}" for key in state} == back.keys()
    with torch.no_grad():
        logits = probe(stored["x"])
        got = {"logits": logits} if probe.single else {f"out/{k}": v for k, v in logits.items()}
        if "pooled" in stored:
            got["pooled"] = probe.pooler(stored["x"])
    errors = []
    for key, value in got.items():
        torch.testing.assert_close(value, stored[key], rtol=1e-5, atol=2e-5)
        errors.append(float((value - stored[key]).abs().max()))
    record_property("max_error", max(errors))
    print(f"{name}: max error {max(errors):.1e}")


def _under(prefix: str, stored: dict[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}


@pytest.mark.skipif(not LOSSES, reason="no golden/vjepa losses here")
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.id)
def test_loss(case: Case, record_property: Record) -> None:
    import torch

    from actionspace.encoders import vjepa_loss

    config, io = case.config, case.io()
    context, targets = io["ctx"], io["tgt"]
    teacher = vjepa_loss.normalise_levels(io["target_levels"], config["levels"])
    options = {"offset": config["offset_context_loss"]}
    distance = vjepa_loss.target_distance(context, targets, config["grid_size"], **options)

    def loss(predicted: Any, ids: Any, distance: Any = None) -> Any:
        wanted = teacher.gather(1, ids[..., None].expand(-1, -1, teacher.shape[-1]))
        return vjepa_loss.prediction_loss(
            predicted, wanted, distance=distance, exponent=config["loss_exp"]
        ).reshape(1)

    got = {
        "target_normed": teacher,
        "sqrt_min_distance": distance.sqrt(),
        "loss_pred": loss(io["z_pred"], targets),
        "loss_context_unweighted": loss(io["z_context"], context),
        "loss_context_weighted": loss(io["z_context"], context, distance),
        "lambda_at": torch.tensor([vjepa_loss.context_weight(int(i)) for i in io["lambda_iters"]]),
    }
    if large := config.get("grid32_case"):
        rows = len(io["sqrt_min_distance_grid32_offset"])
        ids = [_arange(large[name]).expand(rows, -1) for name in ("ctx", "tgt")]
        offset = large["offset_context_loss"]
        further = vjepa_loss.target_distance(*ids, large["grid_size"], offset=offset)
        got["sqrt_min_distance_grid32_offset"] = further.sqrt()
    errors = [_compare(case, value, io[name].to(value.dtype)) for name, value in got.items()]
    record_property("max_error", max(errors))
    print(f"{case.id}: max error {max(errors):.1e}")


def _arange(text: str) -> Any:
    import torch

    start, stop = text.removeprefix("arange(").removesuffix(")").split(",")
    return torch.arange(int(start), int(stop))


@pytest.mark.skipif(not LAYOUTS, reason="no golden/vjepa key layouts here")
@pytest.mark.parametrize("name", LAYOUTS)
def test_released_layouts(name: str) -> None:
    """Names, shapes and counts at full size, on the meta device; and the file tells what it is."""
    import torch

    from actionspace.encoders.keys_vjepa import detect_layout, from_plain, to_plain
    from actionspace.encoders.keys_vjepa import guess_architecture as guess
    from actionspace.encoders.published_vjepa import VJEPA_FILES
    from actionspace.encoders.reading import network_class
    from actionspace.encoders.vjepa_predictor import VJEPA2Predictor, VJEPA21Predictor

    content = LAYOUTS[name]
    family, _, file = name.partition("/")
    (entry,) = (entry for entry in VJEPA_FILES if entry.url.endswith(f"/{file}.pt"))
    network = entry.architecture
    assert network.clip.size == content["img_size"]
    kind = VJEPA2Predictor if family == "vjepa2" else VJEPA21Predictor
    with torch.device("meta"):
        net = network_class(network.network)(**network.options())
        predicting = kind(**network.predictor_options())
    assert net.blocks[0].attn.heads == content["heads"] and len(net.blocks) == content["depth"]
    if "levels" in content:
        assert list(net.levels) == content["levels"]
    for part, module in (("encoder", net), ("predictor", predicting)):
        state = module.state_dict()
        assert layout_of(state) == content[part]
        assert len(state) == content[f"{part}_tensors"]
        count = sum(p.numel() for p in module.parameters())
        assert count == content[f"{part}_params"]
    assert network.predictor_parameters() == content["predictor_params"]
    official = from_plain(net.state_dict(), "official")
    assert detect_layout(official) == "official"
    told = guess(to_plain(official))
    assert told.options == network.options() and told.name.startswith(network.name[:-4])


@pytest.mark.skipif(not LAYOUTS, reason="no golden/vjepa key layouts here")
@pytest.mark.parametrize("name", LAYOUTS)
def test_real_files(name: str) -> None:
    """The names and shapes in a released file, where one lies in ``ACTIONSPACE_VJEPA_FILES``."""
    from actionspace.encoders.checkpoint import read_weights
    from actionspace.encoders.keys_vjepa import to_plain

    folder, file = os.environ.get("ACTIONSPACE_VJEPA_FILES"), name.partition("/")[2]
    if folder is None or not (path := Path(folder) / f"{file}.pt").is_file():
        pytest.skip(f"ACTIONSPACE_VJEPA_FILES names no folder with {file}.pt")
    for part in ("encoder", "predictor"):
        state = read_weights(path, part="predictor" if part == "predictor" else None)[0]
        assert layout_of(to_plain(state, part)) == LAYOUTS[name][part]


@pytest.mark.skipif(not NETWORKS, reason="no golden/vjepa networks here")
def test_mistakes_would_show() -> None:
    """The wrong rotary tables and positions are told apart by the cases."""
    import torch

    by_id = {case.entry["case"]: case for case in NETWORKS}
    case = by_id.get("v21_distilled_d12") or next(
        (c for c in NETWORKS if c.config["encoder"].get("interpolate_rope")), None
    )
    if case is None:
        pytest.skip("no case here interpolates its positions")
    call, io = case.entry["calls"][0], case.io()
    net = encoder(case.config, case.checkpoint()[call["part"]])
    for change in ({"interleaved": not net.interleaved}, {"span": None}):
        before = {name: getattr(net, name) for name in change}
        vars(net).update(change)
        with torch.no_grad(), pytest.raises(AssertionError, match="not close"):
            _compare(case, net.encode(io[call["input"]]), io[call["output"]])
        vars(net).update(before)
