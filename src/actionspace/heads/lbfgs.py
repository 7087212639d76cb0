"""L-BFGS for many penalised linear models on the same features; see :mod:`.logistic`.

Shapes: N rows, K axes (the last is the unpenalised bias), S strengths still active, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEMORY = 10
PATIENCE = 25
"""Iterations without progress, where rounding shows, after which it has the last word."""


@dataclass(frozen=True)
class Problem:
    """Data and loss.

    Attributes:
        features: ``[N, K]``.
        curvature: variance of each feature ``[K]``.
        targets: ``[N, C]`` of zeros and ones.
        weights: loss weights ``[N, 1]`` (softmax) or ``[N, C]`` (sigmoid).
        sigmoid: independent classes instead of a softmax.
    """

    features: Tensor
    curvature: Tensor
    targets: Tensor
    weights: Tensor
    sigmoid: bool

    def logits(self, weights: Tensor) -> Tensor:
        """Return ``[N, S, C]`` of weights ``[K, S, C]``."""
        return (self.features @ weights.flatten(1)).view(-1, *weights.shape[1:])

    def pull(self, residual: Tensor) -> Tensor:
        """Return the features' correlation with residuals ``[N, S, C]`` as ``[K, S, C]``."""
        return (self.features.T @ residual.flatten(1)).view(-1, *residual.shape[1:])

    def at(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities ``[N, S, C]`` and loss without the targets' part ``[S]``."""
        weights = self.weights[:, None]
        if self.sigmoid:
            loss = weights * torch.nn.functional.softplus(logits)
            return torch.sigmoid(logits), loss.sum(dim=(0, 2))
        top = logits.amax(dim=2, keepdim=True)
        exp = torch.exp(logits - top)
        total = exp.sum(dim=2, keepdim=True)
        return exp / total, (weights * (top + total.log())).sum(dim=(0, 2))

    def slope(self, probabilities: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Return first and second derivative ``[S]`` of that loss along logits ``ahead``."""
        weights = self.weights[:, None]
        moved = probabilities * ahead
        if self.sigmoid:
            first = weights * moved
            return first.sum(dim=(0, 2)), (first * (ahead - moved)).sum(dim=(0, 2))
        first = weights[..., 0] * moved.sum(dim=2)
        second = weights[..., 0] * (moved * ahead).sum(dim=2) - first * moved.sum(dim=2)
        return first.sum(dim=0), second.sum(dim=0)


@dataclass(frozen=True)
class Solution:
    """Weights ``[K, S, C]`` with the iterations and success ``[S]`` of each strength."""

    weights: Tensor
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


@dataclass
class _State:
    """The strengths still being worked on, ``number`` saying which."""

    number: Tensor
    penalty: Tensor
    weights: Tensor
    logits: Tensor
    probabilities: Tensor
    value: Tensor
    gradient: Tensor
    best: Tensor
    stalled: Tensor
    goal: Tensor
    history: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def keep(self, mask: Tensor) -> _State:
        """Return the state of the strengths in ``mask`` ``[S]``."""
        if bool(mask.all()):
            return self
        return replace(
            self,
            number=self.number[mask],
            penalty=self.penalty[:, mask],
            weights=self.weights[:, mask],
            logits=self.logits[:, mask],
            probabilities=self.probabilities[:, mask],
            value=self.value[mask],
            gradient=self.gradient[:, mask],
            best=self.best[mask],
            stalled=self.stalled[mask],
            goal=self.goal[mask],
            history=[(s[:, mask], y[:, mask]) for s, y in self.history],
        )


def minimise(
    problem: Problem, strengths: NDArray[np.float64], tolerance: float, max_iterations: int
) -> Solution:
    """Minimise the penalised loss for each strength; at most ~0.5 GB of logits at a time."""
    cells = problem.features.shape[0] * max(problem.targets.shape[1], 1)
    width = max(1, 60_000_000 // cells)
    parts = [
        _minimise(problem, strengths[i : i + width], tolerance, max_iterations)
        for i in range(0, len(strengths), width)
    ]
    return Solution(
        torch.cat([p.weights for p in parts], dim=1),
        np.concatenate([p.iterations for p in parts]),
        np.concatenate([p.converged for p in parts]),
    )


def _minimise(
    problem: Problem, strengths: NDArray[np.float64], tolerance: float, max_iterations: int
) -> Solution:
    count = len(strengths)
    state = _start(problem, problem.features.new_tensor(strengths), tolerance)
    weights = state.weights.clone()
    iterations = np.zeros(count, np.int64)
    converged = np.zeros(count, bool)
    for _ in range(max_iterations):
        spread = (problem.weights[:, None] * state.probabilities * (1 - state.probabilities)).sum(0)
        diagonal = problem.curvature[:, None, None] * spread + state.penalty
        inverse = 1 / diagonal.clamp(min=torch.finfo(diagonal.dtype).tiny)
        decrement = _dot(state.gradient, inverse * state.gradient).clamp(min=0).sqrt()
        rounding = decrement.square() < torch.finfo(decrement.dtype).eps * (1 + state.value)
        better = decrement < 0.9 * state.best
        state.stalled = torch.where(better | ~rounding, 0, state.stalled + 1)
        state.best = torch.minimum(decrement, state.best)
        done = decrement <= state.goal
        active = ~done & (state.stalled < PATIENCE)
        converged[state.number[done].cpu().numpy()] = True
        weights[:, state.number] = state.weights
        if not bool(active.any()):
            break
        state = state.keep(active)
        iterations[state.number.cpu().numpy()] += 1
        _step(problem, state, _direction(state, inverse[:, active]))
    weights[:, state.number] = state.weights
    return Solution(weights, iterations, converged)


def _start(problem: Problem, strengths: Tensor, tolerance: float) -> _State:
    """Return the state at zero weights."""
    rows, axes = problem.features.shape
    count, classes = len(strengths), problem.targets.shape[1]
    penalty = strengths.expand(axes, count).clone()[..., None]
    penalty[-1] = 0
    logits = problem.features.new_zeros(rows, count, classes)
    probabilities, value = problem.at(logits)
    zeros = problem.features.new_zeros(axes, count, classes)
    return _State(
        number=torch.arange(count, device=zeros.device),
        penalty=penalty,
        weights=zeros,
        logits=logits,
        probabilities=probabilities,
        value=value,
        gradient=_gradient(problem, probabilities) + zeros,
        best=torch.full_like(strengths, torch.inf),
        stalled=torch.zeros(count, dtype=torch.int64, device=zeros.device),
        goal=tolerance * strengths.sqrt().clamp(0.01, 0.1),
    )


def _gradient(problem: Problem, probabilities: Tensor) -> Tensor:
    """Return the gradient ``[K, S, C]`` of the loss without penalty."""
    return problem.pull(problem.weights[:, None] * (probabilities - problem.targets[:, None]))


def _direction(state: _State, inverse: Tensor) -> Tensor:
    """Return the descent direction by the two-loop recursion from the diagonal ``inverse``."""
    q = state.gradient.clone()
    used: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for s, y in reversed(state.history):
        rho = _safe(1 / _dot(s, y))
        a = rho * _dot(s, q)
        q -= _along(a) * y
        used.append((s, y, rho, a))
    if used:
        s, y, rho, _ = used[0]
        scale = _dot(s, y) / _dot(y, inverse * y)
        inverse = inverse * _along(torch.where(rho > 0, scale, torch.ones_like(scale)))
    q *= inverse
    for s, y, rho, a in reversed(used):
        q += _along(a - rho * _dot(y, q)) * s
    return -q


def _step(problem: Problem, state: _State, direction: Tensor) -> None:
    """Move along ``direction`` as far as the loss asks for, and remember the step."""
    ahead = problem.logits(direction)
    pulled = problem.weights[:, None] * problem.targets[:, None]
    linear = _dot(state.penalty * state.weights, direction) - (pulled * ahead).sum(dim=(0, 2))
    square = _dot(state.penalty * direction, direction)
    steep = _dot(state.gradient, direction)
    a = torch.ones_like(steep)
    low, high = torch.zeros_like(a), torch.full_like(a, torch.inf)
    noise = 10 * torch.finfo(a.dtype).eps * state.value.abs()
    for _ in range(30):
        logits = state.logits + a[:, None] * ahead
        probabilities, value = problem.at(logits)
        first, second = problem.slope(probabilities, ahead)
        first, second = first + linear + a * square, second + square
        rise = value - state.value + a * (linear + a * square / 2)
        fits = (first.abs() <= 0.1 * steep.abs()) & (rise <= noise)
        if bool(fits.all()):
            break
        low, high = torch.where(first < 0, a, low), torch.where(first < 0, high, a)
        newton = a - first / second
        middle = torch.where(high.isinf(), 2 * a, (low + high) / 2)
        inside = (newton > low) & (newton < high)
        a = torch.where(fits, a, torch.where(inside, newton, middle))
    step = _along(a) * direction
    weights = state.weights + step
    gradient = _gradient(problem, probabilities) + state.penalty * weights
    state.history = [*state.history, (step, gradient - state.gradient)][-MEMORY:]
    state.weights, state.logits, state.probabilities = weights, logits, probabilities
    state.gradient, state.value = gradient, value


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return inner products ``[S]`` of ``[K, S, C]``."""
    return (a * b).sum(dim=(0, 2))


def _along(a: Tensor) -> Tensor:
    return a[None, :, None]


def _safe(rho: Tensor) -> Tensor:
    """Drop pairs without positive curvature (rounding) from the recursion."""
    return torch.where(rho.isfinite() & (rho > 0), rho, torch.zeros_like(rho))
