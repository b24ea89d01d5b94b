"""The scaffold is an ordinary PyTorch module: weights, copies, compile, export, dtypes, devices."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.conv import DepthwiseConv
from nas.blocks.none import NoBlock
from nas.blocks.recursive.reuse import ReuseAttention
from nas.scaffold import EncoderScaffold


def mixed(**changes: Any) -> EncoderScaffold:
    """An encoder with two kinds of masks, a state, an empty slot and shared weights."""
    torch.manual_seed(0)
    ffn, reuse = MLP(16), partial(ReuseAttention, num_heads=2)
    layers = [partial(MultiHeadAttention, num_heads=2), ffn, reuse, DepthwiseConv, NoBlock, ffn, reuse]
    settings = {
        "pooled_output_dim": 8,
        "embedding_cfg": {"vocab_size": 50, "hidden_size": 16, "max_seq_length": 12},
        "hidden_cls": layers,
        "num_hidden_instances": len(layers),
        "recursive": True,
    }
    return EncoderScaffold(**{**settings, **changes}).eval()


def inputs(tokens: int = 6) -> dict[str, Tensor]:
    mask = torch.ones(2, tokens, dtype=torch.int64)
    mask[1, tokens // 2 :] = 0
    return {"input_word_ids": torch.arange(2 * tokens).reshape(2, tokens) % 50, "input_mask": mask}


def test_shared_weights_are_counted_and_saved_once() -> None:
    encoder = mixed()
    names = list(encoder.state_dict())
    assert len(names) == len(set(names))
    pointers = [t.data_ptr() for t in encoder.state_dict().values()]
    assert len(pointers) == len(set(pointers))
    assert sum(1 for name in names if name.endswith("inner.weight")) == 1
    other = mixed()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other.load_state_dict(encoder.state_dict(), strict=True)
    torch.testing.assert_close(other(inputs())[0], encoder(inputs())[0], rtol=0, atol=0)


def test_every_parameter_gets_a_gradient() -> None:
    encoder = mixed(layer_norm_before_pooling=True).train()
    types = torch.ones(2, 6, dtype=torch.int64)
    types[0] = 0
    sequence, pooled = encoder({**inputs(), "input_type_ids": types})
    (sequence * torch.randn(16)).sum().add(pooled.sum()).backward()
    missing = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_a_copy_is_equal_and_independent() -> None:
    encoder = mixed()
    twin = copy.deepcopy(encoder)
    torch.testing.assert_close(twin(inputs())[0], encoder(inputs())[0], rtol=0, atol=0)
    assert twin.hidden_layers[1] is twin.hidden_layers[5]
    assert twin.hidden_layers[1] is not encoder.hidden_layers[1]
    assert twin.get_embedding_table() is twin.embedding.word_embeddings.weight
    assert twin.get_config() == encoder.get_config()
    before = encoder(inputs())[0]
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    torch.testing.assert_close(encoder(inputs())[0], before, rtol=0, atol=0)


def test_compile_gives_the_same() -> None:
    torch.compiler.reset()
    encoder = mixed(dict_outputs=True)
    compiled = torch.compile(encoder, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(inputs()), encoder(inputs()))


def test_export_gives_the_same() -> None:
    encoder = mixed(dict_outputs=True)
    exported = torch.export.export(encoder, (inputs(),)).module()
    torch.testing.assert_close(exported(inputs()), encoder(inputs()))


def test_export_with_any_batch() -> None:
    encoder = mixed()
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = ({"input_word_ids": {0: batch}, "input_mask": {0: batch}},)
    exported = torch.export.export(encoder, (inputs(),), dynamic_shapes=shapes).module()
    bigger = {name: torch.cat([value, value]) for name, value in inputs().items()}
    torch.testing.assert_close(exported(bigger), encoder(bigger))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes(dtype: torch.dtype) -> None:
    encoder = mixed()
    expected = encoder(inputs())[0]
    sequence, pooled = encoder.to(dtype)(inputs())
    assert sequence.dtype == pooled.dtype == dtype
    assert torch.isfinite(sequence).all()
    torch.testing.assert_close(sequence.float(), expected, rtol=0.1, atol=0.1)


def test_meta_device_and_back() -> None:
    with torch.device("meta"):
        encoder = mixed()
    assert {p.device.type for p in encoder.parameters()} == {"meta"}
    encoder.to_empty(device="cpu").load_state_dict(mixed().state_dict())
    torch.testing.assert_close(encoder(inputs())[0], mixed()(inputs())[0], rtol=0, atol=0)


def test_odd_lengths_one_token_and_all_padding() -> None:
    encoder = mixed()
    for tokens in (1, 5):
        given = {**inputs(tokens), "input_mask": torch.zeros(2, tokens)}
        assert torch.isfinite(encoder(given)[0]).all()


def test_sequence_output_is_the_first_output() -> None:
    encoder = mixed(layer_norm_before_pooling=True)
    expected = encoder(inputs())[0]
    torch.testing.assert_close(encoder.sequence_output(inputs()), expected, rtol=0, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_gives_the_same() -> None:
    encoder = mixed()
    expected = encoder(inputs())[0]
    on_device = {name: value.cuda() for name, value in inputs().items()}
    ours = encoder.cuda()(on_device)[0].cpu()
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)
