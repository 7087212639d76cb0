"""Encoders of transformers in a tiny form: parity with transformers, files, refusals."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.encoders.create import create_encoder, list_encoders
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.hf_families import FAMILIES
from actionspace.encoders.hf_files import models_folder
from actionspace.encoders.hf_published import HF_BY_NAME, HF_ENTRIES
from actionspace.errors import UsageError, WeightsError
from actionspace.features.extract import extract
from tests.encoders.hf_tiny import TINY, Tiny, clips_for, whole_model
from tests.features.tiny import make_video, manifest

BY_ID = {tiny.id + str(i): tiny for i, tiny in enumerate(TINY)}
every = pytest.mark.parametrize("tiny", TINY, ids=BY_ID)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and nothing of this machine's own caches."""
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.is_offline_mode", lambda: True, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("ACTIONSPACE_ACCEPT_LICENCE", raising=False)


def untrained(tiny: Tiny, seed: int = 0, **more: Any) -> Encoder:
    return create_encoder(f"untrained:{tiny.name}", seed=seed, **tiny.options | more)


def saved(tiny: Tiny, folder: Path) -> Any:
    """Save transformers' whole model as a checkpoint and return it."""
    model = whole_model(tiny)
    model.save_pretrained(folder)
    return model


def part_of(model: Any, tiny: Tiny) -> Any:
    return functools.reduce(getattr, tiny.part.split(".") if tiny.part else [], model)


@every
def test_surface(tiny: Tiny) -> None:
    encoder = untrained(tiny)
    x = clips_for(encoder, tiny)
    with torch.no_grad():
        features, pooled = encoder.forward_features(x), encoder(x)
        assert features.shape == (2, 24, *tiny.grid) and encoder.dim == 24
        assert encoder.tokens(x).shape == (2, tiny.grid[0], 24)
        assert not torch.allclose(pooled[0], pooled[1], atol=1e-4)
        torch.testing.assert_close(encoder(x[:1]), pooled[:1], atol=1e-5, rtol=1e-4)
        assert torch.equal(untrained(tiny)(x), pooled)
        assert not torch.equal(untrained(tiny, seed=1)(x), pooled)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = encoder(x).float()
    assert float((rough - pooled).abs().max()) < 0.08 * float(pooled.abs().max()) + 0.05
    assert encoder.identity["options"]["pool"] == "mean"


@every
def test_every_token_sits_where_its_pixels_are(tiny: Tiny) -> None:
    """Without blocks a token sees its own pixels alone."""
    encoder = untrained(tiny, **tiny.flat)
    x = clips_for(encoder, tiny)[:1]
    step = [length // n for length, n in zip(x.shape[2:], tiny.grid, strict=True)]
    place = (tiny.grid[0] - 1, 2, 1)
    changed = x.clone()
    box = tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, step, strict=True))
    changed[(0, slice(None), *box)] += 1
    with torch.no_grad():
        moved = (encoder.forward_features(changed) - encoder.forward_features(x)).abs().amax((0, 1))
    expected = torch.zeros(tiny.grid, dtype=torch.bool)
    expected[place] = True
    assert torch.equal(moved > 1e-6, expected)


@every
def test_a_checkpoint_gives_what_transformers_gives(tiny: Tiny, tmp_path: Path) -> None:
    """Saved whole, loaded by path offline, on real frames."""
    model = saved(tiny, tmp_path / "model")
    encoder = create_encoder(str(tmp_path / "model"))
    assert encoder.name == "model" and encoder.licence == ""
    x = clips_for(encoder, tiny)
    part = part_of(model, tiny)
    with torch.no_grad():
        features = encoder.forward_features(x)
        tokens = theirs(part, x, tiny).last_hidden_state[:, tiny.leading :]
    time, height, width = tiny.grid
    if FAMILIES[encoder.backbone.model_type].image:
        tokens = tokens.reshape(2, 4 * height * width, 24)
    if "timesformer" in tiny.name:
        tokens = tokens.reshape(2, height * width, time, 24).transpose(1, 2).flatten(1, 2)
    expected = tokens.transpose(1, 2).reshape(features.shape)
    error = float((features - expected).abs().max())
    print(f"{tiny.name}: max error {error:.1e} of values up to {float(expected.abs().max()):.1f}")
    assert error < 1e-5 and float(features.std()) > 0.1
    again = create_encoder(tiny.name, weights=tmp_path / "model", accept_licence=True)
    with torch.no_grad():
        assert torch.equal(again.forward_features(x), features)
    assert again.weights_hash == encoder.weights_hash != untrained(tiny).weights_hash
    assert again.licence == HF_BY_NAME[tiny.name].licence


def theirs(part: Any, x: torch.Tensor, tiny: Tiny) -> Any:
    """Call transformers' model as its documentation says."""
    frames = x.transpose(1, 2)
    if tiny.grid[0] == 4 and "videoprism" not in tiny.name and "timesformer" not in tiny.name:
        frames = frames.flatten(0, 1)
    if "naflex" not in tiny.name:
        return part(frames)
    patches = [
        torch.stack([f[:, r : r + 16, c : c + 16].permute(1, 2, 0).flatten()
                     for r in range(0, 48, 16) for c in range(0, 48, 16)])
        for f in frames
    ]  # fmt: skip
    shapes = torch.tensor([[3, 3]] * len(frames))
    mask = torch.ones(len(frames), 9, dtype=torch.long)
    return part(torch.stack(patches), mask, shapes)


POOLS = [(tiny, pool) for tiny in TINY for pool in ("cls", "pooler", "joint")
         if pool in FAMILIES[HF_BY_NAME[tiny.name].model_type].pools]  # fmt: skip


@pytest.mark.parametrize(("tiny", "pool"), POOLS, ids=[f"{t.name}-{p}" for t, p in POOLS])
def test_pools(tiny: Tiny, pool: str, tmp_path: Path) -> None:
    if (tiny.part, pool) == ("vivit", "pooler"):
        encoder = untrained(tiny, pool=pool)
        model = encoder.backbone.model
    else:
        model = saved(tiny, tmp_path / "model")
        encoder = create_encoder(str(tmp_path / "model"), pool=pool)
    x = clips_for(encoder, tiny)
    image = FAMILIES[encoder.backbone.model_type].image
    part = model if tiny.part == "vivit" and pool == "pooler" else part_of(model, tiny)
    with torch.no_grad():
        features = encoder.forward_features(x)
        if pool == "joint" and tiny.whole == "VideoPrismClipModel":
            vectors = model.video_model(x.transpose(1, 2)).pooler_output[:, 0]
        elif pool == "joint" and tiny.whole == "CLIPModel":
            frames = x.transpose(1, 2).flatten(0, 1)
            vectors = model.visual_projection(part(frames).pooler_output)
        elif pool == "cls":
            vectors = theirs(part, x, tiny).last_hidden_state[:, 0]
        else:
            vectors = theirs(part, x, tiny).pooler_output
    assert features.shape == (2, encoder.dim, 4 if image else 1, 1, 1)
    mine = features[..., 0, 0].transpose(1, 2).flatten(0, 1)
    assert float((mine - vectors).abs().max()) < 1e-5 and float(vectors.std()) > 0.05
    assert encoder.dim == (20 if (pool, tiny.part) == ("joint", "vision_model")
                           and tiny.whole == "CLIPModel" else 24)  # fmt: skip


def test_pools_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none of mean, cls of dinov2_base.*no space with text"):
        create_encoder("untrained:dinov2_base", pool="joint")
    with pytest.raises(UsageError, match="no space with text"):
        create_encoder("untrained:videoprism_base", pool="joint")
    with pytest.raises(UsageError, match="mean"):
        create_encoder("untrained:dinov2_base", pool="men")
    saved(TINY[1], tmp_path / "vivit")  # its classifier has no pooler
    with pytest.raises(WeightsError, match="without what pool=pooler needs"):
        create_encoder(str(tmp_path / "vivit"), pool="pooler")


def test_compiled_and_half() -> None:
    from actionspace.features.forward import Forward

    tiny = TINY[4]
    encoder = untrained(tiny)
    encoder.set_clip(_small(encoder))
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 48, 48, 3), np.uint8)
    plain = Forward(encoder, "float32")(clips, 0)
    half = Forward(encoder, "float16")(clips, 0)
    assert np.abs(half - plain).max() < 0.02 * np.abs(plain).max() + 0.01


def _small(encoder: Encoder) -> Any:
    from dataclasses import replace

    return replace(encoder.clip, frames=4, size=48, short_side=48, fps=None)


def test_extracts_also_from_videos_shorter_than_the_clip(tmp_path: Path) -> None:
    """DINOv3 is given floats, VideoMAE bytes; both stores say what decided their pixels."""
    make_video(tmp_path / "a.mp4", 3, size=(64, 50))
    events = manifest(tmp_path, [("a.mp4", 0.0, 0.1, "x")])
    for tiny, how in ((TINY[0], "pil_bilinear"), (TINY[6], "float_bilinear")):
        encoder = untrained(tiny)
        encoder.set_clip(_small(encoder))
        store = extract(events, encoder, tmp_path / how, dtype="float32", progress=False)
        rows = store.get("a.mp4").features
        assert rows.shape == (1, 24) and bool(np.isfinite(rows).all())
        assert store.fingerprint["resize"] == how
        assert store.fingerprint["options"]["pool"] == "mean"


def test_strict(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    saved(TINY[0], folder)
    state = load_file(folder / "model.safetensors")
    gone = next(name for name in state if name.endswith("layernorm_before.weight"))
    save_file({k: v for k, v in state.items() if k != gone}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"missing.*layernorm_before\.weight"):
        create_encoder(str(folder))
    save_file(state | {"videomae.stray": state[gone].clone()}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"unexpected: .*stray"):
        create_encoder(str(folder))
    save_file(state | {gone: torch.zeros(7)}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit|cannot be loaded"):
        create_encoder(str(folder))


def test_the_older_format_runs_no_code(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model = saved(TINY[4], folder)
    expected = create_encoder(str(folder)).weights_hash
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert create_encoder(str(folder)).weights_hash == expected
    ran = tmp_path / "ran"
    torch.save({"dinov2.embeddings.cls_token": _Touches(ran)}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        create_encoder(str(folder))
    assert not ran.exists()


class _Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_folder_with_its_processor(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    saved(TINY[4], folder)
    settings = {"image_processor_type": "BitImageProcessorFast", "size": {"shortest_edge": 64}}
    settings |= {"crop_size": {"height": 48, "width": 48}, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    clip = create_encoder(str(folder)).clip
    assert (clip.size, clip.short_side, clip.resize) == (48, 64, "tv_bilinear")


def test_names_are_found_in_the_models_folder(tmp_path: Path) -> None:
    saved(TINY[4], models_folder("facebook/dinov2-base"))
    encoder = create_encoder("dinov2_base")
    assert encoder.name == "dinov2_base" and encoder.licence == "Apache-2.0" and encoder.dim == 24
    assert create_encoder("facebook/dinov2-base").weights_hash == encoder.weights_hash
    (info,) = list_encoders("dinov2_base")
    assert info.weights == "in the models folder"
    snapshot = tmp_path / "hub" / "models--facebook--dinov2-large" / "snapshots" / "abc"
    saved(TINY[4], snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    assert create_encoder("dinov2_large").weights_hash == encoder.weights_hash


def test_an_encoder_file_of_ours_fits(tmp_path: Path) -> None:
    """`actionspace convert RUN` writes the backbone of a run's encoder."""
    from safetensors.torch import save_file

    tiny = TINY[4]
    encoder = untrained(tiny, seed=5)
    save_file(encoder.backbone.state_dict(), tmp_path / "w.safetensors")
    again = create_encoder(tiny.name, weights=tmp_path / "w.safetensors", **tiny.options)
    x = clips_for(encoder, tiny)
    with torch.no_grad():
        assert torch.equal(again(x), encoder(x))


def test_missing_files_offline() -> None:
    with pytest.raises(WeightsError) as e:
        create_encoder("dinov2_small")
    message = str(e.value)
    assert "facebook/dinov2-small" in message and "model.safetensors" in message
    assert "config.json" in message and str(models_folder("facebook/dinov2-small")) in message


@pytest.mark.parametrize("lacks", ["model.safetensors", "config.json"])
def test_a_folder_that_lacks_files(lacks: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    saved(TINY[4], folder)
    (folder / lacks).unlink()
    with pytest.raises(WeightsError, match=rf"lacks {lacks}"):
        create_encoder("dinov2_base", weights=folder)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="videomae_base_k400"):
        create_encoder("videomae_base_k40")
    with pytest.raises(UsageError, match=r"'hidden_sise'.*hidden_size"):
        create_encoder("untrained:dinov2_base", hidden_sise=3)
    with pytest.raises(UsageError, match="random by name"):
        create_encoder("untrained:dinov2_base", weights=tmp_path)
    saved(TINY[4], tmp_path / "model")
    with pytest.raises(UsageError, match="only pool can be chosen"):
        create_encoder(str(tmp_path / "model"), hidden_size=3)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "dinov"}')
    with pytest.raises(UsageError, match=r"type 'dinov'.*dinov2"):
        create_encoder(str(tmp_path / "bert"))
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "vjepa2"}')
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        create_encoder(str(tmp_path / "bert"))
    encoder = untrained(TINY[0])
    with pytest.raises(UsageError, match="4 frames of 48x48, not 8 of 48x48"):
        encoder.forward_features(torch.zeros(1, 3, 8, 48, 48))


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    there = util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "timm" else there(name)
    )
    with pytest.raises(UsageError, match="pip install transformers timm torchvision"):
        create_encoder("untrained:pe_video_large")


# The cheapest of each family; building the others takes a second each.
CHEAPEST = {e.model_type: e for e in sorted(HF_ENTRIES, key=lambda e: -e.multiply_adds)}
del CHEAPEST["pe_video_encoder"]


@pytest.mark.parametrize("entry", CHEAPEST.values(), ids=lambda e: e.name)
def test_listed_as_it_is(entry: Any) -> None:
    """Sizes and costs are those of the network, on the meta device."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad():
        net = _network(entry)
        clip = entry.clip
        with FlopCounterMode(display=False) as counter:
            features = net(torch.zeros(1, 3, clip.frames, clip.size, clip.size))
    assert entry.parameters == sum(p.numel() for p in net.parameters())
    assert entry.multiply_adds == counter.get_total_flops() // 2
    assert entry.dim == net.dim == features.shape[1]
    assert entry.licence and (not entry.gate) == (entry.licence[0] in "AM")


def _network(entry: Any) -> Any:
    from actionspace.encoders import hf_create

    config = hf_create.vision_config(entry, None, {})
    return hf_create._random(config, FAMILIES[entry.model_type], "mean").eval()


def test_names_and_repositories_are_unique() -> None:
    names = [info.name for info in list_encoders()]
    assert len(names) == len(set(names))
    assert len({e.repository for e in HF_ENTRIES}) == len(HF_ENTRIES)
