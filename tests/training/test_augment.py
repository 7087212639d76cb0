"""What augmentation promises of every batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actionspace.config import parse
from actionspace.errors import ConfigError, DataError, UsageError
from actionspace.training.augment import colour, geometry
from actionspace.training.augment.augment import Augment
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.mixing import draw_mix, mix_clips
from actionspace.training.augment.numbered import Numbered
from actionspace.training.augment.options import AugmentConfig, MixConfig, RandAugmentConfig
from actionspace.training.augment.plan import carry_out, draw_plan
from actionspace.training.augment.randaugment import OPS, apply, choose
from actionspace.training.loader import Loader
from actionspace.training.plan import Pass

CLASSES = ["left turn", "right turn", "rest", "run"]
ALONE = {
    "crop": {"crop": {"p": 0.7}},
    "flip": {"flip": {"p": 0.5, "never": ["left turn"]}},
    "jitter": {"jitter": {"brightness": 1.2, "contrast": 0.4, "saturation": 2, "hue": 0.5}},
    "some jitter": {"jitter": {"brightness": 0.4, "p": 0.5}},
    "randaugment": {"randaugment": {"ops": 3, "magnitude": 9, "std": 2}},
    "erase": {"erase": {"p": 0.6}},
}
PIXELS = {k: v for one in ALONE.values() for k, v in one.items()}
MIX = {"mix": {"mixup": 0.8, "cutmix": 1.0, "p": 0.9}}


def augment(options: dict, seed: int = 0) -> Augment:
    return Augment(parse(AugmentConfig, options), CLASSES, seed)


def batch(n: int, frames: int = 3, height: int = 10, width: int = 14, multi_label: bool = False):
    g = torch.Generator().manual_seed(n)
    clips = torch.randint(0, 256, (n, frames, height, width, 3), dtype=torch.uint8, generator=g)
    targets = torch.arange(n) % len(CLASSES)
    if multi_label:
        targets = torch.rand(n, len(CLASSES), generator=g) < 0.4
    return clips, targets


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([*ALONE.values(), PIXELS, PIXELS | MIX]),
    st.integers(1, 9),
    st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)),
    st.booleans(),
    st.integers(0, 99),
)
def test_clips_keep_their_shape_and_range(options, n, shape, multi_label, epoch):
    clips, targets = batch(n, *shape, multi_label=multi_label)
    before = clips.clone()
    found, labels = augment(options)(clips, targets, np.arange(n), epoch)
    assert found.shape == clips.shape
    assert found.dtype == torch.float32
    assert found.min() >= -1e-3
    assert found.max() <= 255 + 1e-3
    assert torch.equal(clips, before)
    if "mix" in options:
        wanted = targets.sum(1).float() if multi_label else torch.ones(n)
        assert labels.shape == (n, len(CLASSES))
        assert labels.dtype == torch.float32
        if not multi_label:
            torch.testing.assert_close(labels.sum(1), wanted)
    else:
        assert labels is targets


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([*ALONE.values(), PIXELS]),
    st.permutations(range(8)),
    st.integers(1, 8),
    st.integers(0, 9),
)
def test_a_clip_fares_the_same_in_any_company(options, order, size, epoch):
    clips, targets = batch(8)
    change = augment(options)
    together, _ = change(clips, targets, np.arange(8) + 100, epoch)
    some = order[:size]
    apart, _ = change(clips[some], targets[some], np.array(some) + 100, epoch)
    torch.testing.assert_close(apart, together[some], atol=2e-4, rtol=0)


@pytest.mark.parametrize("options", [*ALONE.values(), PIXELS])
def test_a_gpu_does_all_clips_at_once_as_a_cpu_one_by_one(options):
    clips, targets = batch(40)
    one_by_one, _ = augment(options)(clips, targets, np.arange(40), 1)
    config = parse(AugmentConfig, options)
    plan = draw_plan(Draws(0, 1, np.arange(40)), config, *clips.shape[2:4])
    x = clips.permute(0, 1, 4, 2, 3).float().contiguous()
    at_once = carry_out(plan, x, targets == 0).permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(at_once, one_by_one, atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", ALONE)
def test_seed_epoch_and_sample_decide(name):
    clips, targets = batch(8)
    clips = clips[:1].expand_as(clips)

    def run(seed: int, epoch: int) -> torch.Tensor:
        return augment(ALONE[name], seed)(clips, targets, np.arange(8), epoch)[0]

    first = run(0, 0)
    assert torch.equal(first, run(0, 0))
    assert not torch.equal(first, run(1, 0))
    assert not torch.equal(first, run(0, 1))
    assert len(torch.unique(first.flatten(1), dim=0)) > 1


@pytest.mark.parametrize("name", ALONE)
def test_all_frames_of_a_clip_fare_the_same(name):
    clips, targets = batch(16, frames=1)
    found, _ = augment(ALONE[name])(clips.expand(-1, 4, -1, -1, -1), targets, np.arange(16), 1)
    assert not torch.equal(found[:, 0], clips[:, 0].float())
    torch.testing.assert_close(found, found[:, :1].expand_as(found), atol=2e-4, rtol=0)


def test_whole_numbers_and_fractions_are_one():
    clips, targets = batch(6)
    change = augment(PIXELS | MIX)
    whole, labels = change(clips, targets, np.arange(6), 2)
    fractions, same = change(clips.float(), targets, np.arange(6), 2)
    assert torch.equal(whole, fractions)
    assert torch.equal(labels, same)


def test_nothing_is_touched_when_nothing_is_on():
    clips, targets = batch(3)
    found = augment({})(clips, targets, np.arange(3), 0)
    assert found[0] is clips
    assert found[1] is targets


def test_at_magnitude_zero_clips_stay_as_they_are():
    clips, _ = batch(60)
    x = clips.float().permute(0, 1, 4, 2, 3)
    config = RandAugmentConfig(ops=1, magnitude=0)
    choice = choose(Draws(0, 0, np.arange(60)), 0, config)
    strengthless = np.isin(np.array(OPS)[choice.op], ["autocontrast", "equalize"])
    assert set(choice.op) == set(range(len(OPS)))
    found = apply(x.contiguous(), choice, 128.0)
    torch.testing.assert_close(found[~strengthless], x[~strengthless], atol=1e-3, rtol=0)
    one = torch.ones(60)
    for change in (colour.brightness, colour.contrast, colour.saturation, colour.sharpness):
        torch.testing.assert_close(change(x, one), x, atol=1e-4, rtol=0)
    torch.testing.assert_close(colour.hue(x, one * 0), x, atol=1e-3, rtol=0)
    box = torch.tensor([[0, 0, 14, 10]]).expand(60, 4)
    torch.testing.assert_close(geometry.crop_resize(x, box), x, atol=5e-3, rtol=0)


def test_strength_spreads_about_the_magnitude():
    choice = choose(Draws(0, 0, np.arange(4000)), 0, RandAugmentConfig(magnitude=5, std=1))
    assert abs(choice.strength.mean() - 0.5) < 0.01
    assert abs(choice.strength.std() - 0.1) < 0.01
    assert abs(choice.sign.mean()) < 0.05
    assert np.bincount(choice.op).min() > 4000 / len(OPS) * 0.8


def test_classes_that_tell_left_from_right_are_not_mirrored():
    clips, targets = batch(40)
    change = augment({"flip": {"p": 1.0, "never": ["left turn", "right turn"]}})
    found, _ = change(clips, targets, np.arange(40), 0)
    handed = targets < 2
    assert torch.equal(found[handed], clips[handed].float())
    assert torch.equal(found[~handed], clips[~handed].flip(3).float())
    _, several = batch(40, multi_label=True)
    found, _ = change(clips, several, np.arange(40), 0)
    handed = several[:, :2].any(dim=1)
    assert handed.any()
    assert torch.equal(found[handed], clips[handed].float())
    assert torch.equal(found[~handed], clips[~handed].flip(3).float())


def test_shares_are_those_asked_for():
    clips, targets = batch(1, frames=1, height=4, width=4)
    n = 600
    clips, targets = clips.expand(n, -1, -1, -1, -1), targets.expand(n)
    for options in ({"flip": {"p": 0.3}}, {"erase": {"p": 0.3, "area": [0.4, 0.6]}}):
        found, _ = augment(options)(clips, targets, np.arange(n), 0)
        changed = (found != clips).flatten(1).any(dim=1).float().mean()
        assert abs(changed - 0.3) < 0.06


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(sorted),
    st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)).map(sorted),
)
@example(25, 25, [0.05, 0.05], [0.2, 0.2])  # both sides are rounded by a half
def test_boxes_lie_inside_and_are_as_large_as_asked(height, width, area, aspect):
    u = Draws(0, 0, np.arange(50)).uniform("x", geometry.BOX_DRAWS)
    boxes, found = geometry.random_boxes(u, height, width, tuple(area), tuple(aspect))
    x, y, w, h = boxes.T
    assert ((x >= 0) & (y >= 0) & (w > 0) & (h > 0) & (x + w <= width) & (y + h <= height)).all()
    side = np.abs(w[found] * h[found] / (height * width))
    slack = (w + h)[found] / (2 * height * width) + 1 / (4 * height * width) + 1e-9
    assert (side <= area[1] + slack).all()
    assert (side >= area[0] - slack).all()
    inside = geometry.inside(torch.from_numpy(boxes), height, width)
    assert (inside.sum(dim=(1, 2)).numpy() == w * h).all()


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 1, "cutmix": 1}])
@pytest.mark.parametrize("multi_label", [False, True])
def test_targets_are_mixed_as_the_pixels_are(options, multi_label):
    n, height, width = 40, 10, 14
    clips = torch.arange(n, dtype=torch.float32)[:, None, None, None, None].expand(
        n, 2, height, width, 3
    )
    _, targets = batch(n, multi_label=multi_label)
    if multi_label:
        targets[:] = torch.eye(n, len(CLASSES)).bool()
        targets[:, 1] = torch.arange(n) % 2 == 0
    change = augment({"mix": options})
    found, labels = change(clips, targets, np.arange(n), 4)
    mix = draw_mix(Draws(0, 4, np.arange(n)), change.config.mix, height, width)
    kept = (found.mean(dim=(1, 2, 3, 4)) - torch.from_numpy(mix.partner)) / (
        torch.arange(n) - torch.from_numpy(mix.partner)
    )
    hot = targets.float() if multi_label else torch.eye(len(CLASSES))[targets]
    wanted = kept[:, None] * hot + (1 - kept[:, None]) * hot[mix.partner]
    torch.testing.assert_close(labels, wanted, atol=1e-4, rtol=0)
    assert 0.2 < kept.mean() < 0.8
    either = (found == clips) | (found == clips[mix.partner])
    averaged = (~either).flatten(1).all(dim=1)
    assert (averaged | either.flatten(1).all(dim=1)).all()
    assert averaged.any() == ("mixup" in options)
    assert averaged.all() == ("cutmix" not in options)


def test_only_pictures_can_be_changed():
    flow, targets = torch.zeros(2, 3, 8, 8, 2, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(UsageError, match="2 channels"):
        augment({"jitter": {"hue": 0.1}})(flow, targets, np.arange(2), 0)
    found, _ = augment(MIX)(flow, targets, np.arange(2), 0)
    assert found.shape == flow.shape


@given(st.integers(2, 30), st.integers(0, 50))
def test_every_clip_is_the_partner_of_one_other(n, epoch):
    mix = draw_mix(Draws(0, epoch, np.arange(n)), MixConfig(mixup=1.0), 8, 8)
    assert sorted(mix.partner) == list(range(n))
    assert (mix.partner != np.arange(n)).all()


def test_a_clip_alone_stays_itself():
    x = torch.rand(1, 2, 3, 8, 8)
    mix = draw_mix(Draws(0, 0, np.arange(1)), MixConfig(mixup=1.0, cutmix=1.0), 8, 8)
    torch.testing.assert_close(mix_clips(x, mix), x)


def test_shares_of_mixup_follow_the_beta_distribution():
    mix = draw_mix(Draws(0, 0, np.arange(5000)), MixConfig(mixup=0.8, p=1), 8, 8)
    assert abs(mix.share.mean() - 0.5) < 0.02
    assert abs(mix.share.var() - 1 / (4 * (2 * 0.8 + 1))) < 0.005
    some = draw_mix(Draws(0, 0, np.arange(5000)), MixConfig(mixup=0.8, p=0.25), 8, 8)
    assert abs((some.share < 1).mean() - 0.25) < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": {"area": [0.5, 0.2]}}, "smaller first"),
        ({"erase": {"area": [0.5, 1.2]}}, "at most 1"),
        ({"flip": {"p": 1.5}}, "less than or equal to 1"),
        ({"jitter": {"hue": 0.7}}, "0.5"),
        ({"colour": {}}, "colour"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        parse(AugmentConfig, options)


def test_an_unknown_class_is_refused():
    with pytest.raises(ConfigError, match=r"no class of the data.*left turn"):
        augment({"flip": {"p": 0.5, "never": ["left turns"]}})


class Squares:
    """Items that are their own number; one cannot be had."""

    def __len__(self) -> int:
        return 10

    def name(self, index: int) -> str:
        return f"sample {index}"

    def load(self, index: int, epoch: int) -> torch.Tensor:
        if index == 3:
            raise DataError("broken")
        return torch.tensor(index)

    def collate(self, samples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.stack(samples), torch.stack(samples) ** 2


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_say_which_samples_they_are(workers):
    loader = Loader(Numbered(Squares()), device=torch.device("cpu"), workers=workers)
    passes = [Pass(np.array(part)) for part in ([4, 3, 9], [0, 1], [3])]
    for batch in loader.stream(passes, 7):
        (numbers, squares), indices, epoch = batch.data
        assert indices.tolist() == batch.indices.tolist() == numbers.tolist()
        assert torch.equal(squares, numbers**2)
        assert (indices.dtype, epoch) == (np.int64, 7)
    assert loader.skipped.keys() == {3}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_the_same_and_is_not_waited_for():
    clips, targets = batch(16, 4, 40, 56)
    change = augment(PIXELS | MIX)
    ours, labels = change(clips, targets, np.arange(16), 3)
    clips, targets = clips.cuda(), targets.cuda()
    change(clips, targets, np.arange(16), 3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found, mixed = change(clips, targets, np.arange(16), 3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ((found.cpu() - ours).abs() > 0.05).float().mean() < 1e-3  # floor() at whole levels
    torch.testing.assert_close(mixed.cpu(), labels)
