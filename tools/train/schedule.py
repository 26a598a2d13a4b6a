"""AdamW, its rate over time, and which weights decay."""

import math
from collections.abc import Iterator

import torch
from torch import nn


def trained(model: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in model.parameters() if parameter.requires_grad)


def optimiser(model: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over what is trained; matrices decay, norms and biases do not."""
    groups = [
        {"params": [p for p in trained(model) if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained(model) if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=(0.9, 0.999), eps=1e-8)


def rate(step: int, peak: float, warmup: int, steps: int) -> float:
    """Rises over the warm-up, then falls to 0 along a cosine."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def set_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = value
