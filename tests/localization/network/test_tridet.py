"""TriDet's blocks, head and padding: what the golden cases do not show."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.create import create_network
from actionspace.localization.network.padding import batches, padded_length
from actionspace.localization.network.sgp import SgpBlock
from actionspace.localization.network.trident import TridentPredictions
from tests.localization.networks import CLASSES, DIM, pad, tiny

TRIDET = {"backbone": "sgp", "head": "trident", "trident": {"bins": 4}}


def network(seed: int = 0, **changes: Any) -> Any:
    """A network whose parameters all differ from where they start."""
    torch.manual_seed(seed)
    model = create_network(tiny(**TRIDET | changes), DIM, CLASSES)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def test_the_wide_kernels_of_the_publication() -> None:
    config = tiny(**TRIDET).sgp
    for window, factor, wide in ((1, 5, 11), (1, 4, 9), (5, 2, 13), (15, 1.3, 21), (15, 1.2, 19)):
        assert config.model_copy(update={"factor": factor}).wide(window) == wide
    assert config.model_copy(update={"factor": 1.2}).wide(3) == 5  # 4.8
    assert config.model_copy(update={"factor": 1.25}).wide(1) == 3  # 2.5 is rounded to even


@pytest.mark.parametrize(
    ("windows", "divisor"),
    [(1, 8), (15, 120), ((1, 5, 3, 1), 24), ((1, 9, 1, 1), 72)],
)
def test_padded_lengths(windows: Any, divisor: int) -> None:
    """Up to max_length all of it; above, the published factor, or what fits where that fails."""
    model = network(sgp={"windows": windows})
    assert model.config.divisor == divisor
    for rows in (1, 50, 96):
        assert padded_length(model.config, rows) == 96
    longer = padded_length(model.config, 97)
    assert longer % divisor == 0 and 97 <= longer < 97 + divisor
    said = model(*pad([torch.randn(DIM, 97)], longer))
    assert said.sizes == tuple(longer // stride for stride in model.config.strides)


def test_videos_of_one_padded_length_are_as_if_alone() -> None:
    model = network()
    rows = [96, 30, 97, 1, 101, 150]
    shown = [torch.randn(DIM, n) for n in rows]
    for numbers in batches(model.config, rows, 8):
        lengths = {padded_length(model.config, rows[i]) for i in numbers}
        assert len(lengths) == 1  # more padding would show
        together = model(*pad([shown[i] for i in numbers], lengths.pop()))
        for k, i in enumerate(numbers):
            alone = model(*pad([shown[i]], padded_length(model.config, rows[i])))
            for name in ("logits", "centres", "begins", "ends"):
                torch.testing.assert_close(
                    getattr(together, name)[k], getattr(alone, name)[0], rtol=1e-4, atol=1e-4
                )


def test_convolutions_that_are_zero_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same output, and gradients of zero for what was left out."""
    torch.manual_seed(0)
    block = SgpBlock(16, stride=2, window=3, wide=5, path=0.1).eval()
    x, mask = torch.randn(2, 8, 16), torch.ones(2, 8, dtype=torch.bool)
    assert block.idle
    short = block(x, mask)[0]
    block.idle = False
    torch.testing.assert_close(block(x, mask)[0], short, rtol=0, atol=0)
    for work in (True, False):
        block.train().idle = work
        block.zero_grad()
        block(x, mask)[0].sum().backward()
        for conv in (block.psi, block.fc, block.convw, block.convkw, block.global_fc):
            for parameter in conv.parameters():
                assert parameter.grad is not None and not parameter.grad.any()


@pytest.mark.parametrize("how", ["load", "change"])
def test_weights_that_come_later_count(how: str) -> None:
    block, other = SgpBlock(16).eval(), SgpBlock(16, init_std=0.5).eval()
    assert block.idle and not other.idle
    if how == "load":
        block.load_state_dict(other.state_dict())
    else:
        with torch.no_grad():
            for parameter, value in zip(block.parameters(), other.parameters(), strict=True):
                parameter.copy_(value)
        block.eval()
    x, mask = torch.randn(1, 8, 16), torch.ones(1, 8, dtype=torch.bool)
    assert torch.equal(block(x, mask)[0], other(x, mask)[0])


def plain_offsets(said: TridentPredictions, level: int) -> Tensor:
    """Section 3.3 of the publication cell by cell, ``[B, T, K, 2]`` of one level."""
    part = said.levels()[level]
    (cells,), reach = part.sizes, part.centres.shape[-1] - 1
    out = torch.zeros(*part.logits.shape, 2)
    for b in range(len(part.logits)):
        for t in range(cells):
            for c in range(part.logits.shape[-1]):
                begin, end = part.centres[b, t].clone()
                for j in range(reach + 1):
                    if t - reach + j >= 0:
                        begin[j] += part.begins[b, t - reach + j, c]
                    if t + j < cells:
                        end[j] += part.ends[b, t + j, c]
                far = torch.arange(reach + 1.0)
                out[b, t, c, 0] = (begin.softmax(0) * far.flip(0)).sum()
                out[b, t, c, 1] = (end.softmax(0) * far).sum()
    return out


@settings(deadline=None, max_examples=15)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    reach=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_offsets_cell_by_cell(sizes: list[int], reach: int, seed: int) -> None:
    """Of any level, however short; levels do not see each other."""
    torch.manual_seed(seed)
    points = sum(sizes)
    said = TridentPredictions(
        torch.zeros(points, 4),
        torch.ones(2, points, dtype=torch.bool),
        torch.zeros(2, points, 2),
        2 * torch.rand(2, points, 2, reach + 1),
        *(3 * torch.randn(2, points, 2) for _ in range(2)),
        tuple(sizes),
    )
    grid = torch.meshgrid(*map(torch.arange, (2, points, 2)), indexing="ij")
    wanted = torch.cat([plain_offsets(said, i) for i in range(len(sizes))], dim=1)
    torch.testing.assert_close(said.offsets_at(*grid), wanted, rtol=1e-5, atol=1e-5)


def test_gradients_of_ends_stay_in_their_heads() -> None:
    model = network().train()
    said = model(*pad([torch.randn(DIM, 90)], 96))
    (said.begins.sum() + said.ends.sum()).backward()
    for name, parameter in model.named_parameters():
        own = name.startswith(("start_head", "end_head"))
        assert (parameter.grad is not None) == own, name


def test_learnt_points_alone() -> None:
    """Outputs that are worked out near the points learnt give the same offsets there."""
    model = network().train()
    for module in model.modules():
        if hasattr(module, "rate"):
            module.rate = 0.0
    shown = pad([torch.randn(DIM, 90), torch.randn(DIM, 96)], 96)
    learnt = torch.zeros(2, 180, dtype=torch.bool)
    learnt[0, [0, 40, 89]] = learnt[1, [95, 96, 179]] = True
    whole, near = model(*shown), model(*shown, learnt)
    pairs = learnt.unsqueeze(-1).expand(-1, -1, CLASSES).nonzero(as_tuple=True)
    torch.testing.assert_close(near.offsets_at(*pairs), whole.offsets_at(*pairs))
    assert torch.equal(near.logits, whole.logits)


def test_noise_is_for_training_and_follows_the_seed() -> None:
    quiet, noisy = network(drop_path=0.0), network(drop_path=0.0, input_noise=0.5)
    shown = pad([torch.randn(DIM, 90)], 96)
    assert torch.equal(quiet(*shown).logits, noisy(*shown).logits)
    noisy.train()
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(noisy(*shown).logits)
    assert torch.equal(drawn[0], drawn[1]) and not torch.allclose(drawn[0], drawn[2])


@pytest.mark.parametrize("backbone", ["transformer", "conv"])
def test_the_head_on_other_pyramids(backbone: str) -> None:
    model = network(backbone=backbone, embed_dim=12, neck_dim=12)
    said = model(*pad([torch.randn(DIM, 90)], 96))
    assert said.centres.shape == (1, sum(said.sizes), 2, 5)
    longer = model(*pad([torch.randn(DIM, 200)], 224))
    assert longer.begins.shape == (1, 420, CLASSES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"embed_dim": 24, "neck_dim": 24}, "multiple of 16"),
        ({"sgp": {"windows": 4}}, "must be odd"),
        ({"sgp": {"windows": [1, 3]}}, "4 levels need one each"),
        ({"sgp": {"windows": -1}}, "greater than 0"),
        ({"trident": {"boundary_kernel": 2}}, "boundary_kernel 2 must be odd"),
        ({"max_length": 90}, "multiple of 8"),
        ({"dropout": 0.1}, "neither relative_positions nor dropout"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        tiny(**TRIDET | changes)


def test_max_length_need_not_be_a_multiple_of_the_divisor() -> None:
    config = ModelConfig.model_validate(
        {"backbone": "sgp", "sgp": {"windows": 15}, "max_length": 768}
    )
    assert config.divisor == 480 and padded_length(config, 769) == 960


@pytest.mark.parametrize("windows", [15, (1, 3, 3, 5)])
def test_lengths_chosen_from_the_data(windows: Any) -> None:
    """Padding costs, so the window is no longer than cells need it."""
    from actionspace.localization.auto import choose_lengths
    from actionspace.localization.options import AutoConfig

    config = tiny(**TRIDET | {"sgp": {"windows": windows}})
    how = AutoConfig(lengths=True)
    chosen, notes = choose_lengths(config, how, [300, 901], [5.0, 20.0, 250.0], 0.5)
    assert (chosen.branch_blocks, chosen.max_length) == (5, 928)
    assert chosen.sgp.windows == (15 if windows == 15 else 5)
    assert not any("attention" in note for note in notes)
