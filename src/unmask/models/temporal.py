"""Over time: a bidirectional LSTM, self-attention and pooling that never see a missing frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedBiLSTM(nn.Module):
    """Bidirectional LSTM over the valid steps only, wherever in the clip they stand.

    Each direction first moves its valid steps to the front by a permutation matrix, so that what
    is missing can only come after everything that is read; the inverse permutation brings the
    outputs back. Matrices instead of packed sequences, since those cannot be exported.
    """

    def __init__(self, features: int, hidden: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        inputs = [features, *([2 * hidden] * (layers - 1))]
        self.forwards = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True) for n in inputs)
        self.backwards = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True) for n in inputs)
        self.features = 2 * hidden

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, F)`` and bool ``(B, T)`` to ``(B, T, 2 * hidden)``, zero where masked."""
        ahead = _to_front(mask, backwards=False).to(steps.dtype)
        behind = _to_front(mask, backwards=True).to(steps.dtype)
        for layer, (there, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            steps = steps if layer == 0 else self.dropout(steps)
            right = ahead.transpose(1, 2) @ there(ahead @ steps)[0].to(steps.dtype)
            left = behind.transpose(1, 2) @ back(behind @ steps)[0].to(steps.dtype)
            steps = torch.cat([right, left], dim=-1)
        return steps


def _to_front(mask: Tensor, *, backwards: bool) -> Tensor:
    """``(B, T, T)`` bool; row i picks the i-th valid step, counted from the end if backwards."""
    rank = mask.flip(1).long().cumsum(1).flip(1) if backwards else mask.long().cumsum(1)
    place = torch.arange(mask.shape[1], device=mask.device)[None, :, None]
    return ((rank - 1).unsqueeze(1) == place) & mask.unsqueeze(1)


class MaskedSelfAttention(nn.Module):
    """Pre-norm multi-head self-attention with a residual; missing steps are never attended to."""

    def __init__(self, features: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if features % heads:
            raise ValueError(f"{features} features cannot be shared by {heads} heads")
        self.heads = heads
        self.norm = nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, F)`` and bool ``(B, T)`` to ``(B, T, F)``."""
        batch, length, features = steps.shape
        qkv = self.qkv(self.norm(steps))  # (B, T, 3 F)
        split = qkv.reshape(batch, length, 3, self.heads, features // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, T, F / heads)
        bias = _bias(mask, query.dtype)[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = mixed.transpose(1, 2).reshape(batch, length, features)
        attended: Tensor = steps + self.dropout(self.out(mixed))
        return attended


class AttentionPool(nn.Module):
    """A learned weight a step, softmax over the valid ones."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, F)`` and bool ``(B, T)`` to ``(B, F)``."""
        logits = self.score(steps).squeeze(-1)
        weight = torch.softmax((logits + _bias(mask, logits.dtype)).float(), dim=1)
        pooled: Tensor = (weight.to(steps.dtype).unsqueeze(-1) * steps).sum(1)
        return pooled


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over dimension 1 of ``(B, T, ...)`` where bool ``mask (B, T)`` holds; 0 if nowhere."""
    weight = mask.to(values.dtype).reshape(*mask.shape, *([1] * (values.ndim - 2)))
    return (values * weight).sum(1) / weight.sum(1).clamp(min=1)


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    # Finite, so that a clip without any valid step gives a finite answer instead of NaN.
    return (~mask).to(dtype) * -1e4
