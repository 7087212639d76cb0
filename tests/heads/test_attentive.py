"""The attentive probe: shapes, options, names, and many at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from actionspace.errors import UsageError, WeightsError
from actionspace.heads.attentive import AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.attentive_keys import load_probe, probe_from_plain, probe_to_plain

ANTICIPATION = {"verb": 3, "noun": 5, "action": 7}


def _probe(classes: int | dict[str, int] = 4, seed: int = 0, **options: object) -> AttentiveProbe:
    config = AttentiveConfig.model_validate({"num_heads": 4, **options})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        probe = AttentiveProbe(16, classes, config)
        for p in probe.parameters():
            p.data += 0.2 * torch.randn(p.shape)
    return probe.eval()


def _tokens(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 10, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("complete", [True, False])
def test_logits(depth: int, complete: bool) -> None:
    probe, x = _probe(depth=depth, complete_block=complete), _tokens()
    with torch.no_grad():
        logits = probe(x)
        assert isinstance(logits, torch.Tensor) and logits.shape == (3, 4)
        assert probe.pooler(x).shape == (3, 1, 16) and len(probe.pooler.blocks) == depth - 1
        mixed = probe(x[:, torch.randperm(10)])  # tokens have no order here
        torch.testing.assert_close(mixed, logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(probe(x[1:2]), logits[1:2], atol=1e-5, rtol=1e-5)
        changed = x.clone()
        changed[:, 9] = x[:, 9].flip(-1)
        assert not torch.allclose(probe(changed), logits, atol=1e-4)


def test_each_kind_of_label_has_a_query() -> None:
    probe, x = _probe(ANTICIPATION, depth=2), _tokens()
    with torch.no_grad():
        logits = probe(x)
        assert isinstance(logits, dict)
        assert {name: value.shape[1] for name, value in logits.items()} == ANTICIPATION
        pooled = probe.pooler(x)
        assert pooled.shape == (3, 3, 16)
        probe.pooler.query_tokens[:, 1] += 1
        after = probe(x)
    changed = [not torch.allclose(after[name], logits[name]) for name in ANTICIPATION]
    assert changed == [False, True, False]
    only = _probe({"action": 5})(x)
    assert isinstance(only, dict) and only["action"].shape == (3, 5)


def test_queries_are_added_to_what_they_attend_to() -> None:
    probe = _probe(depth=1)
    cross = probe.pooler.cross_attention_block
    with torch.no_grad():
        for layer in (cross.xattn.kv, cross.mlp.fc2):
            layer.weight.zero_()
            layer.bias.zero_()
        expected = probe.pooler.query_tokens.expand(3, -1, -1)
        torch.testing.assert_close(probe.pooler(_tokens()), expected)


def test_first_weights() -> None:
    torch.manual_seed(0)
    pooler = AttentiveProbe(64, 3, AttentiveConfig(num_heads=4)).pooler
    stds = [block.mlp.fc2.weight.detach().std().item() for block in pooler.blocks]
    assert stds == pytest.approx([0.02 / (2 * n) ** 0.5 for n in (1, 2, 3)], rel=0.1)
    cross = pooler.cross_attention_block
    last, kv = (m.weight.detach().std().item() for m in (cross.mlp.fc2, cross.xattn.kv))
    assert last == pytest.approx(0.02 / 6**0.5, rel=0.1) and kv == pytest.approx(0.02, rel=0.1)


def test_every_parameter_learns() -> None:
    probe = _probe(ANTICIPATION, depth=3).train()
    logits = probe(_tokens())
    torch.cat(list(logits.values()), dim=1).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in probe.parameters())


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_many_at_once() -> None:
    """Probes of one shape run as one, over stacked weights, with the same results."""
    from torch.func import functional_call, stack_module_state, vmap

    probes, x = [_probe(depth=2, seed=seed) for seed in range(3)], _tokens()
    parameters, buffers = stack_module_state(probes)

    def one(state: dict[str, torch.Tensor], rest: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = functional_call(probes[0], (state, rest), (x,))
        return logits

    with torch.no_grad():
        together = vmap(one)(parameters, buffers)
        apart = torch.stack([probe(x) for probe in probes])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("classes", [4, ANTICIPATION])
@pytest.mark.parametrize("complete", [True, False])
def test_names_there_and_back(classes: int | dict[str, int], complete: bool) -> None:
    probe = _probe(classes, depth=3, complete_block=complete, mlp_ratio=2.2, qkv_bias=False)
    named = probe_from_plain(dict(sorted(probe.state_dict().items())))
    last = "linear" if classes == 4 else "verb_classifier"
    assert f"module.{last}.weight" in named and "module.pooler.query_tokens" in named
    again = load_probe(named, num_heads=4)
    with torch.no_grad():
        torch.testing.assert_close(again(_tokens()), probe(_tokens()), atol=0, rtol=0)


def test_refused() -> None:
    with pytest.raises(UsageError, match="5 attention heads do not divide a width of 16"):
        AttentiveProbe(16, 2, AttentiveConfig(num_heads=5, depth=1))
    for nothing in (0, {}, {"verb": 0}):
        with pytest.raises(UsageError, match="at least one class"):
            AttentiveProbe(16, nothing, AttentiveConfig(num_heads=4))
    with pytest.raises(ValidationError, match="depth"):
        AttentiveConfig(depth=0)
    with pytest.raises(WeightsError, match=r"no pooler\.query_tokens"):
        probe_to_plain({"linear.weight": torch.ones(2, 2)})
    state = _probe().state_dict()
    del state["heads.label.bias"]
    with pytest.raises(WeightsError, match=r"missing: heads\.label\.bias"):
        load_probe(state, num_heads=4)


def test_options_need_no_torch() -> None:
    code = "import sys, actionspace.heads.attentive_config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
