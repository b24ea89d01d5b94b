"""The scaffold computes what the TensorFlow Model Garden's computes: outputs and gradients."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.blocks.transformer.encoder_block import Transformer, TransformerEncoderBlock
from nas.scaffold import EncoderScaffold

HERE = Path(__file__).parent / "reference"
COPIED = ["hidden_one_instance_x3", "bert_prenorm_finalln_dict", "embed_factorized_layer"]
ALL = [
    *COPIED,
    "bert_gelu_tanh_dict",
    "bert_relu_all_layers",
    "bert_dynamic_len",
    "bert_prenorm_nofinalln",
    "eps_postnorm",
    "hidden_class_teb",
    "hidden_teb_rmsnorm",
    "embed_instance_two_inputs",
]
WITH_GRADIENTS = ["hidden_one_instance_x3", "bert_prenorm_finalln_dict", "bert_gelu_tanh_dict"]


class TwoInputEmbedding(nn.Module):
    """Word vectors alone, and a mask of its own making."""

    def __init__(self, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.embedding_layer = nn.Embedding(vocab_size, hidden_size)

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        ids, mask = inputs
        return self.embedding_layer(ids), mask[:, None, :].float().expand(-1, ids.shape[1], -1)


class FactorizedEmbeddingNetwork(nn.Module):
    """Narrow word vectors, projected; positions and types as usual."""

    def __init__(
        self,
        vocab_size: int,
        type_vocab_size: int,
        embedding_width: int,
        hidden_size: int,
        max_seq_length: int,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.word = nn.Embedding(vocab_size, embedding_width)
        self.projection = nn.Linear(embedding_width, hidden_size, bias=False)
        self.position = nn.Embedding(max_seq_length, hidden_size)
        self.types = nn.Embedding(type_vocab_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=1e-12)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        ids, _, types = inputs
        summed = self.projection(self.word(ids)) + self.position.weight[: ids.shape[1]] + self.types(types)
        return self.norm(summed)


CLASSES = {
    c.__name__: c
    for c in (Transformer, TransformerEncoderBlock, TwoInputEmbedding, FactorizedEmbeddingNetwork)
}
EMBEDDING = {
    "word_embeddings/embeddings": "word_embeddings.weight",
    "position_embedding/position_embeddings": "position_embeddings.weight",
    "type_embeddings/embeddings": "type_embeddings.weight",
    "embeddings_layer_norm/gamma": "norm.weight",
    "embeddings_layer_norm/beta": "norm.bias",
    "embedding_network/embedding_layer/embeddings": "embedding_layer.weight",
    "embedding_network/word_embeddings/embeddings": "word.weight",
    "embedding_network/word_embeddings/embedding_projection/kernel": "projection.weight",
    "embedding_network/position_embedding/position_embeddings": "position.weight",
    "embedding_network/type_embeddings/embeddings": "types.weight",
    "embedding_network/embeddings/layer_norm/gamma": "norm.weight",
    "embedding_network/embeddings/layer_norm/beta": "norm.bias",
}
REST = {
    "final_layer_norm/gamma": "output_layer_norm.weight",
    "final_layer_norm/beta": "output_layer_norm.bias",
    "pooler/kernel": "pooler_layer.weight",
    "pooler/bias": "pooler_layer.bias",
}


def scaffold_kwargs(config: Any) -> Any:
    """Turn a case's config into arguments: the markers become classes, instances and names."""
    if isinstance(config, list):
        return [scaffold_kwargs(item) for item in config]
    if not isinstance(config, dict):
        return config
    if "$class" in config:
        return CLASSES[config["$class"]]
    if "$act" in config:
        return config["$act"]
    if "$init" in config:
        return None
    if "$instance" in config:
        given = scaffold_kwargs(config["config"])
        return CLASSES[config["$instance"]](**{"hidden_size": 32, **given})
    return {key: scaffold_kwargs(value) for key, value in config.items()}


def to_torch(named: dict[str, np.ndarray], encoder: EncoderScaffold) -> dict[str, Tensor]:
    """Map weights, or their gradients, to the names and shapes of our parameters."""
    out: dict[str, Tensor] = {}
    qkv: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, array in named.items():
        value = torch.from_numpy(array)
        if key in EMBEDDING:
            out[f"embedding.{EMBEDDING[key]}"] = value.T if key.endswith("kernel") else value
        elif key in REST:
            out[REST[key]] = value.T if key.endswith("kernel") else value
        else:
            _layer_weight(key, value, encoder, out, qkv)
    for (prefix, kind), parts in qkv.items():
        rows = [parts[name] for name in ("query", "key", "value")]
        out[f"{prefix}.attention.qkv.{kind}"] = torch.cat(rows)
    return out


def _layer_weight(
    key: str,
    value: Tensor,
    encoder: EncoderScaffold,
    out: dict[str, Tensor],
    qkv: dict[tuple[str, str], dict[str, Tensor]],
) -> None:
    match = re.fullmatch(r"hidden_layers/(\d+)/(?:(attention_layer)/)?(\w+)/(\w+)", key)
    assert match, key
    index, inside, name, kind = int(match[1]), match[2], match[3], match[4]
    prefix = f"blocks.{encoder.slots[index].block}"
    block = encoder.get_submodule(prefix)
    site = "norm_after" if isinstance(block.attention.norm_before, nn.Identity) else "norm_before"
    kind = {"kernel": "weight", "gamma": "weight", "scale": "weight", "beta": "bias"}.get(kind, kind)
    if inside and name != "output_dense":
        flat = value.reshape(value.shape[0], -1).T if kind == "weight" else value.reshape(-1)
        qkv.setdefault((prefix, kind), {})[name.removesuffix("_dense")] = flat
    elif inside:
        flat = value.reshape(-1, value.shape[-1]).T if kind == "weight" else value
        out[f"{prefix}.attention.output.{kind}"] = flat
    elif name.endswith("layer_norm"):
        part = "attention" if name == "attention_layer_norm" else "feedforward"
        out[f"{prefix}.{part}.{site}.{kind}"] = value.reshape(-1)
    else:
        part = {"intermediate_dense": "inner", "output_dense": "output"}[name]
        out[f"{prefix}.feedforward.{part}.{kind}"] = value.T if kind == "weight" else value


def load_case(folder: Path, arrays: Path, name: str) -> tuple[EncoderScaffold, Any, Any, list[Tensor]]:
    """Return the encoder with the case's weights, its config, its arrays and its inputs."""
    case = json.loads((folder / "manifest.json").read_text())["cases"][name]
    stored = np.load(arrays / f"{name}.npz")
    encoder = EncoderScaffold(**scaffold_kwargs(case["config"])).eval()
    weights = {k.removeprefix("weights/"): stored[k] for k in stored if k.startswith("weights/")}
    encoder.load_state_dict(to_torch(weights, encoder), strict=True)
    inputs = [torch.from_numpy(stored[f"inputs/{key}"]) for key in case["input_order"]]
    return encoder, case["config"], stored, inputs


def by_name(returned: Any, config: Any) -> dict[str, Any]:
    """Return what any of the output forms holds, named as in the case."""
    if config.get("dict_outputs"):
        return dict(returned)
    sequence, pooled = returned
    if config.get("return_all_layer_outputs"):
        return {"sequence_output": sequence[-1], "pooled_output": pooled, "encoder_outputs": sequence}
    return {"sequence_output": sequence, "pooled_output": pooled}


def check_outputs(folder: Path, arrays: Path, name: str) -> None:
    encoder, config, stored, inputs = load_case(folder, arrays, name)
    with torch.no_grad():
        outputs = by_name(encoder(inputs), config)
        alone = encoder.sequence_output(inputs)
    wanted = ["sequence_output", "pooled_output"]
    for key in wanted:
        _close(outputs[key], stored[f"outputs/{key}"], f"{name} {key}")
    torch.testing.assert_close(alone, outputs["sequence_output"], rtol=0, atol=0)
    if not name.startswith("eps_"):
        for index, output in enumerate(outputs.get("encoder_outputs", [])):
            if f"outputs/encoder_outputs/{index}" in stored:
                _close(output, stored[f"outputs/encoder_outputs/{index}"], f"{name} layer {index}")


def check_gradients(folder: Path, arrays: Path, name: str) -> None:
    encoder, config, _, inputs = load_case(folder, arrays, name)
    grads = np.load(arrays / f"{name}.grads.npz")
    outputs = by_name(encoder(inputs), config)
    loss = sum(
        (outputs[key] * torch.from_numpy(grads[f"seed/{key}"])).sum()
        for key in ("sequence_output", "pooled_output")
    )
    loss.backward()
    _close(loss.detach(), grads["loss"], f"{name} loss", scale=10)
    wanted = to_torch({k.removeprefix("grads/"): grads[k] for k in grads if k[:6] == "grads/"}, encoder)
    parameters = dict(encoder.named_parameters())
    assert parameters.keys() == wanted.keys()
    for key, parameter in parameters.items():
        _close(parameter.grad, wanted[key].numpy(), f"{name} gradient of {key}", scale=10)


def _close(ours: Tensor | None, reference: np.ndarray, what: str, scale: float = 1.0) -> None:
    assert ours is not None, what
    expected = torch.as_tensor(reference).to(ours.dtype).reshape(ours.shape)
    torch.testing.assert_close(
        ours, expected, rtol=1e-5 * scale, atol=1e-5 * scale, msg=lambda m: f"{what}: {m}"
    )


@pytest.mark.parametrize("name", COPIED)
def test_outputs_equal_the_copied_cases(name: str) -> None:
    check_outputs(HERE, HERE, name)


def test_gradients_equal_the_copied_case() -> None:
    check_gradients(HERE, HERE, "hidden_one_instance_x3")


@pytest.mark.parametrize("name", ALL)
def test_outputs_equal_every_case(name: str, shared: Path) -> None:
    check_outputs(shared / "reference", shared / "reference" / "npz", name)


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_gradients_equal_every_case(name: str, shared: Path) -> None:
    check_gradients(shared / "reference", shared / "reference" / "npz", name)
