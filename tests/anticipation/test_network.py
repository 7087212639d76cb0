"""The networks: exact where they are published, blind to order where they must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from actionspace.anticipation.losses import anticipation_losses
from actionspace.anticipation.network.causal import feature_loss, past_loss
from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.network.model import AnticipationNetwork
from actionspace.anticipation.options import LossConfig
from actionspace.anticipation.samples import Observed
from actionspace.heads.attentive import AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig

CLASSES = {"verb": ["cut", "take", "wash"], "noun": ["cup", "knife"]}
SMALL = {"width": 16, "depth": 2, "heads": 2, "dropout": 0.0}


def batch(dims: tuple[int, ...] = (8,), slots: int = 5, tokens: int = 1, seed: int = 0) -> Observed:
    draw = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    known = torch.ones(3, slots, dtype=torch.bool)
    known[0, :2] = False
    return Observed(
        tuple(noise(3, slots, tokens, d) * known[:, :, None, None] for d in dims),
        tuple(known for _ in dims),
        torch.tensor([[[-1, -1], [0, 1]], [[1, 0], [2, 1]], [[0, 0], [1, 1]]]),
        noise(3, 2, 3),
        torch.tensor([[False, True], [True, True], [True, True]]),
        torch.tensor([0.5, 1.0, 2.0]),
        torch.tensor([[0, 1], [2, -1], [1, 0]]),
        torch.randint(-1, 2, (3, slots, 2), generator=draw),
    )


def network(
    name: str, dims: tuple[int, ...] = (8,), *, past: bool = False, **more: object
) -> AnticipationNetwork:
    torch.manual_seed(0)
    config = NetworkConfig(name=name, **{**SMALL, **more})
    return AnticipationNetwork(config, CLASSES, dims, [5] * len(dims), past=past).eval()


@pytest.mark.parametrize("name", ["attentive", "causal", "lstm"])
@pytest.mark.parametrize("given", ["features", "labels", "both"])
def test_every_network_takes_every_input_and_learns(name: str, given: str) -> None:
    dims = () if given == "labels" else (8,)
    net = network(name, dims, past=given != "features").train()
    seen = replace(batch(), rows=batch().rows[: len(dims)], known=batch().known[: len(dims)])
    said = net(seen)[0].logits
    assert [tuple(v.shape) for v in said.values()] == [(3, 3), (3, 2)]
    losses = anticipation_losses(net(seen), seen, LossConfig())
    assert set(losses) == {
        *("loss", "verb_loss", "noun_loss", "verb_top1_accuracy", "noun_top1_accuracy")
    }
    losses["loss"].backward()
    idle = [n for n, p in net.named_parameters() if p.grad is None]
    assert not idle


@pytest.mark.parametrize("name", ["attentive", "causal", "lstm"])
def test_padding_is_masked(name: str) -> None:
    """What stands where there is no row does not matter."""
    net, seen = network(name), batch()
    noisy = seen.rows[0].clone()
    noisy[0, :2] = 1e3
    for a, b in zip(
        net(seen)[0].logits.values(),
        net(replace(seen, rows=(noisy,)))[0].logits.values(),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_the_published_probe_is_inside() -> None:
    net = network("attentive", width=None, heads=2, positions="none", horizon=False)
    probe = AttentiveProbe(8, {"verb": 3, "noun": 2}, AttentiveConfig(depth=2, num_heads=2))
    probe.load_state_dict(net.branches[0].probe.state_dict())
    seen = batch(tokens=4)
    seen = replace(seen, known=(torch.ones_like(seen.known[0]),))
    expected = probe.eval()(seen.rows[0].flatten(1, 2))
    for name, logits in net(seen)[0].logits.items():
        torch.testing.assert_close(logits, expected[name])


def test_the_causal_network_looks_back_only() -> None:
    net, seen = network("causal"), batch()
    later = seen.rows[0].clone()
    later[:, 3:] += 5.0
    a, b = net(seen)[0].foreseen, net(replace(seen, rows=(later,)))[0].foreseen
    torch.testing.assert_close(a[:, :3], b[:, :3])
    assert not torch.allclose(a[:, 3:], b[:, 3:])


def test_losses_on_the_way_count_what_is_there() -> None:
    seen = batch()
    rows, known = seen.rows[0], seen.known[0]
    shifted = torch.cat([rows.mean(2)[:, 1:], torch.zeros(3, 1, 8)], 1)
    assert feature_loss(shifted, rows, known).abs().max() == 0
    wrong = shifted + 1.0
    assert feature_loss(wrong, rows, known).tolist() == pytest.approx([1.0] * 3)
    sure = {"verb": torch.nn.functional.one_hot(seen.during[..., 0].clamp(min=0), 3) * 50.0}
    told = past_loss(sure, seen.during[..., :1], known)
    assert told.abs().max() < 1e-6
    assert past_loss(sure, (seen.during[..., :1] + 1) % 3, known).max() > 10


def test_the_unrolled_network_takes_more_steps_for_a_longer_horizon() -> None:
    net, seen = network("lstm", horizon=False), batch()
    near = net(replace(seen, horizon=torch.full((3,), 0.25)))[0].logits["verb"]
    far = net(replace(seen, horizon=torch.full((3,), 1.0)))[0].logits["verb"]
    assert not torch.allclose(near, far)
    mixed = net(replace(seen, horizon=torch.tensor([0.25, 1.0, 0.25])))[0].logits["verb"]
    torch.testing.assert_close(mixed, torch.stack([near[0], far[1], near[2]]))


@pytest.mark.parametrize("fusion", ["mean", "attention"])
def test_several_stores_have_a_branch_each(fusion: str) -> None:
    net, seen = network("lstm", (8, 6), fusion=fusion), batch((8, 6))
    together, *each = net(seen)
    assert len(each) == 2
    shares = together.summary
    assert torch.allclose(shares.sum(1), torch.ones(3))
    assert (fusion == "mean") == bool(torch.allclose(shares, torch.full((3, 2), 0.5)))
    mixed = sum(shares[:, k, None] * said.logits["verb"] for k, said in enumerate(each))
    torch.testing.assert_close(together.logits["verb"], mixed)
    loss = anticipation_losses(net(seen), seen, LossConfig(name="focal"))["loss"]
    assert np.isfinite(loss.item())


def test_questions_without_a_label_teach_nothing() -> None:
    seen = batch()
    said = network("lstm")(seen)
    known = replace(seen, targets=seen.targets.clone())
    known.targets[1, 1] = -1
    parts = anticipation_losses(said, known, LossConfig())
    two = torch.nn.functional.cross_entropy(
        said[0].logits["noun"][[0, 2]], seen.targets[[0, 2], 1], reduction="sum"
    )
    assert parts["noun_loss"].item() == pytest.approx(two.item() / 3, rel=1e-5)
