"""Tensors as they are now, to go back to after a trial or a step that went wrong."""

from __future__ import annotations

from collections.abc import Iterable

import torch


class Snapshot:
    """Copies of some tensors; `restore` writes them back in place.

    Args:
        tensors: of a model, e.g. the values of its ``state_dict()``.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self._kept = [(tensor, tensor.clone()) for tensor in tensors]

    @classmethod
    def of_statistics(cls, model: torch.nn.Module) -> Snapshot:
        """What a forward pass in training changes: the batch statistics."""
        return cls(value for value in model.buffers() if value.is_floating_point())

    def restore(self) -> None:
        """Make them what they were."""
        with torch.no_grad():
            for tensor, before in self._kept:
                tensor.copy_(before)
