"""Public mixers that are not attention."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.bench.base import Shape
from nas.bench.peers.base import Called, Peer, PreNorm, public
from nas.blocks.base import Block


def fnet(ours: Block, shape: Shape) -> nn.Module:
    """Return FNet's Fourier layer; post-norm."""
    config = public("transformers.FNetConfig")(hidden_size=shape.hidden_size)
    return Called(public("transformers.models.fnet.modeling_fnet.FNetFourierTransform")(config))


def conformer(ours: Block, shape: Shape) -> nn.Module:
    """Return Conformer's convolution module, without the norm and activation that ours has not."""
    config = public("transformers.Wav2Vec2ConformerConfig")(
        hidden_size=shape.hidden_size, conv_depthwise_kernel_size=ours.config["kernel_size"],
        conformer_conv_dropout=0.0,
    )  # fmt: skip
    name = "transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer"
    module = public(f"{name}.Wav2Vec2ConformerConvolutionModule")(config)
    module.batch_norm = module.activation = nn.Identity()
    return Called(module, lambda m, x: x + m(x))


def gru(ours: Block, shape: Shape) -> nn.Module:
    """Return PyTorch's bidirectional GRU, each direction half as wide as the data, and a projection."""
    layer = nn.GRU(shape.hidden_size, shape.hidden_size // 2, batch_first=True, bidirectional=True)
    parts = nn.ModuleList([layer, nn.Linear(shape.hidden_size, shape.hidden_size)])
    return PreNorm(parts, shape.hidden_size, lambda parts, x: parts[1](parts[0](x)[0]))


def mamba2(ours: Block, shape: Shape) -> nn.Module:
    """Return Mamba-2's mixer in the form without CUDA kernels; one direction."""
    config = public("transformers.Mamba2Config")(
        hidden_size=shape.hidden_size, num_heads=shape.num_heads, expand=ours.config["expand"], n_groups=1,
        head_dim=ours.config["expand"] * shape.hidden_size // shape.num_heads,
        state_size=ours.config["state_size"], conv_kernel=ours.config["conv_size"], chunk_size=64,
        use_conv_bias=False, use_bias=False,
    )  # fmt: skip
    kind = public("transformers.models.mamba2.modeling_mamba2.Mamba2Mixer")
    return PreNorm(kind(config, 0), shape.hidden_size)


def qwen_delta(ours: Block, shape: Shape) -> nn.Module:
    """Return Qwen3-Next's gated delta rule in the form without CUDA kernels; one direction."""
    head_size = shape.hidden_size // shape.num_heads
    config = public("transformers.Qwen3NextConfig")(
        hidden_size=shape.hidden_size, linear_num_value_heads=shape.num_heads,
        linear_num_key_heads=shape.num_heads, linear_key_head_dim=head_size,
        linear_value_head_dim=head_size, linear_conv_kernel_dim=ours.config["conv_size"],
        num_hidden_layers=1, layer_types=["linear_attention"],
    )  # fmt: skip
    kind = public("transformers.models.qwen3_next.modeling_qwen3_next.Qwen3NextGatedDeltaNet")
    return PreNorm(kind(config, 0), shape.hidden_size)


def mixer(ours: Block, shape: Shape) -> nn.Module:
    """Return PatchTSMixer's mixing of places: an MLP-Mixer's, for one channel."""
    config = public("transformers.PatchTSMixerConfig")(
        d_model=shape.hidden_size, expansion_factor=int(ours.config["expansion"]), gated_attn=False,
        self_attn=False, dropout=0.0, norm_mlp="LayerNorm", norm_eps=1e-6,
    )  # fmt: skip
    config.num_patches = shape.tokens
    kind = public("transformers.models.patchtsmixer.modeling_patchtsmixer.PatchMixerBlock")
    return Called(kind(config), lambda m, x: m(x[:, None])[:, 0])


def x_shift(ours: Block, shape: Shape) -> nn.Module:
    """Return x-transformers' token shift, a third of the features each from before, here and after."""
    kind = public("x_transformers.x_transformers.ShiftTokens")
    projection: Any = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)
    return PreNorm(kind((1, 0, -1), projection), shape.hidden_size)


_FNET = {"norm": "post", "ortho": False}
_CAUSAL = {"causal": True, "conv_size": 4}

PEERS = (
    Peer("mixing/fourier", "transformers FNet", fnet, _FNET),
    Peer("mixing/hartley", "transformers FNet", fnet, _FNET),
    Peer("mixing/conv", "transformers Conformer (convolution)", conformer),
    Peer("mixing/gru", "torch.nn.GRU", gru),
    Peer("mixing/ssm", "transformers Mamba-2", mamba2, _CAUSAL),
    Peer("mixing/delta_rule", "transformers Qwen3-Next (delta rule)", qwen_delta, _CAUSAL),
    Peer("mixing/mlp_mixer", "transformers PatchTSMixer (patches)", mixer),
    Peer("mixing/token_shift", "x_transformers.ShiftTokens", x_shift),
)
