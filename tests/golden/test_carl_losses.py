"""SCL, TCC and TCN as the original of CARL computes them: values, gradients, and the parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actionspace.alignment.losses.classification import frame_classification_loss
from actionspace.alignment.losses.config import SclConfig, TccConfig, TcnConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.scl import scl_loss
from actionspace.alignment.losses.tcc import every_pair, go_round, targets, tcc_loss
from actionspace.alignment.losses.tcn import tcn_loss
from tests.golden.carl import Case, cases, parametrize

SCL = cases("scl")
TCC_TCN = cases("tcc_tcn")
TCC = [case for case in TCC_TCN if case.params["algo"] == "tcc"]
TCN = [case for case in TCC_TCN if case.params["algo"] == "tcn"]
LABELLED = [case for case in cases("wrapper") if "train_loss" in case.entry.get("tensors", {})]

VALUE = {"rtol": 1e-5, "atol": 1e-5}
GRADIENT = {"rtol": 1e-4, "atol": 1e-4}
WIDE = {"rtol": 1e-9, "atol": 1e-9}
PRECISIONS = (("", torch.float32), ("64", torch.float64))


def _embeddings(given: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
    return given["emb"].to(dtype, copy=True).requires_grad_()


def _check(loss: Tensor, emb: Tensor, given: dict[str, Tensor], suffix: str) -> None:
    """Hold a loss and its gradient against whatever of them a case has in this precision."""
    loss.backward()
    assert emb.grad is not None
    value, gradient = (WIDE, WIDE) if suffix else (VALUE, GRADIENT)
    if f"loss{suffix}" in given:
        torch.testing.assert_close(loss.reshape(1), given[f"loss{suffix}"], **value)
    if f"grad{suffix}" in given:
        torch.testing.assert_close(emb.grad, given[f"grad{suffix}"], **gradient)
    elif "grad" in given:  # of float32 only
        torch.testing.assert_close(emb.grad.float(), given["grad"], **GRADIENT)


def scl_config(params: dict[str, Any]) -> SclConfig:
    return SclConfig(
        negatives=params["negative_type"],
        positives="gaussian" if params["positive_type"] == "gauss" else "none",
        temperature=params["temperature"],
        label_variance=params["label_variance"],
        compat=True,
    )


def tcc_config(params: dict[str, Any]) -> TccConfig:
    return TccConfig(
        loss=params["loss_type"],
        similarity=params["similarity"],
        normalize_indices=params["normalize_indices"],
        label_smoothing=params["label_smoothing"],
        temperature=params["temperature"],
        variance_lambda=params["variance_lambda"],
        compat=True,
    )


@parametrize(SCL)
@pytest.mark.parametrize(("suffix", "dtype"), PRECISIONS)
def test_scl(case: Case, suffix: str, dtype: torch.dtype) -> None:
    given = case.tensors()
    emb = _embeddings(given, dtype)
    frames = Frames.of(given["steps"], given["seq_lens"], given["masks"])
    _check(scl_loss(emb, frames, scl_config(case.params)), emb, given, suffix)


@parametrize(TCC)
@pytest.mark.parametrize(("suffix", "dtype"), PRECISIONS)
def test_tcc(case: Case, suffix: str, dtype: torch.dtype) -> None:
    given, config = case.tensors(), tcc_config(case.params)
    emb = _embeddings(given, dtype)
    frames = Frames.of(given["steps"], given["seq_lens"])
    found = tcc_loss(emb, frames, config)
    for name in {"squared_error", "pred_time_log_var"} & set(given):
        torch.testing.assert_close(found[name].reshape(1).float(), given[name], **VALUE)
    _check(found["loss"], emb, given, suffix)


@parametrize(TCC)
def test_tcc_logits_and_labels(case: Case) -> None:
    given, config = case.tensors(), tcc_config(case.params)
    cycles, valid = every_pair(given["emb"]), torch.ones(given["steps"].shape, dtype=torch.bool)
    logits = go_round(given["emb"], cycles, valid, config)
    wanted = targets(valid[cycles.route[0]], cycles.starts, config.label_smoothing, logits.dtype)
    torch.testing.assert_close(logits[0], given["logits_01"], **VALUE)
    torch.testing.assert_close(wanted[0], given["labels_01"], rtol=0, atol=1e-7)


@parametrize(TCN)
@pytest.mark.parametrize(("suffix", "dtype"), PRECISIONS)
def test_tcn(case: Case, suffix: str, dtype: torch.dtype) -> None:
    given = case.tensors()
    emb = _embeddings(given, dtype)
    frames = Frames.of(torch.zeros(emb.shape[:2]), torch.ones(len(emb)))
    config = TcnConfig(reg_lambda=case.params["reg_lambda"], compat=True)
    _check(tcn_loss(emb, frames, config), emb, given, suffix)


@parametrize(LABELLED)
def test_frame_classification(case: Case) -> None:
    given = case.tensors()
    loss = frame_classification_loss(given["logits"], given["labels"], given["masks"])
    torch.testing.assert_close(loss.reshape(-1), given["train_loss"].reshape(-1), **VALUE)
