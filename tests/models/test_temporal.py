"""The masked BiLSTM against PyTorch's own, and pooling by hand."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unmask.models.temporal import AttentionPool, MaskedBiLSTM, MaskedSelfAttention, masked_mean


def test_bilstm_equals_pytorchs_packed_one() -> None:
    torch.manual_seed(0)
    ours = MaskedBiLSTM(features=6, hidden=5, layers=2).eval()
    theirs = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
    for layer in range(2):
        for cells, ending in ((ours.forwards, ""), (ours.backwards, "_reverse")):
            for name, value in cells[layer].named_parameters():
                their_name = name.replace("l0", f"l{layer}") + ending
                getattr(theirs, their_name).data.copy_(value)
    steps = torch.randn(3, 4, 6)
    lengths = torch.tensor([4, 1, 3])
    mask = torch.arange(4) < lengths[:, None]
    packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(ours(steps, mask), expected)


def test_attention_equals_pytorchs_own() -> None:
    torch.manual_seed(0)
    ours = MaskedSelfAttention(features=8, heads=2).eval()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.data.copy_(ours.qkv.weight)
    theirs.in_proj_bias.data.copy_(ours.qkv.bias)
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    steps = torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]]).bool()
    normed = ours.norm(steps)
    expected = steps + theirs(normed, normed, normed, key_padding_mask=~mask)[0]
    torch.testing.assert_close(ours(steps, mask), expected)


def test_attention_needs_heads_that_divide() -> None:
    with pytest.raises(ValueError, match="cannot be shared"):
        MaskedSelfAttention(features=10, heads=4)


def test_pooling_by_hand() -> None:
    values = torch.tensor([[[1.0], [2.0], [9.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_mean(values, mask).item() == pytest.approx(1.5)
    assert masked_mean(values, ~mask & False).item() == 0
    pool = AttentionPool(1)
    pool.score.weight.data.fill_(1.0)
    weights = torch.softmax(torch.tensor([1.0, 2.0]), 0)
    expected = (weights * torch.tensor([1.0, 2.0])).sum()
    torch.testing.assert_close(pool(values, mask).squeeze(), expected)
