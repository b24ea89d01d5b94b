"""EncoderScaffold: an encoder made of an embedding, an ordered list of hidden layers, and a pooler."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.blocks.chosen import count_whole, run_chosen
from nas.blocks.recompute import recomputed
from nas.blocks.transformer.encoder_block import Transformer, truncated_normal
from nas.configured import Configured
from nas.embeddings import TransformerEmbedding
from nas.errors import InputError
from nas.factories import name_of, plain
from nas.inputs import Inputs, mask_of
from nas.masks import SelfAttentionMask
from nas.scaffold_checks import build_part, check_arguments, path_in, repeats, width_of
from nas.scaffold_config import Attribute, ConfigReader, ConfigWriter, Live
from nas.scaffold_slots import ForwardMasks, Slot, SlotPlan, call_layer, make_slots


class EncoderScaffold(Configured, nn.Module):
    """Maps token ids [B, T] to contextual vectors [B, T, D] through any list of hidden layers.

    After the class of the same name in the TensorFlow Model Garden, whose argument names it keeps.
    Differences: each layer gets the mask that it asks for; recursive and plain layers mix; a custom
    embedding may leave the mask to ``mask_cls``; wrong arguments are refused at construction; the
    configuration restores everything, sharing included, but no weights.

    A *class* is a module class or a `functools.partial` of one, and is built anew for each slot; it
    is given the embedding's ``hidden_size`` and ``max_seq_length`` if it takes them and got none. An
    *instance* is a module: wherever it stands, it is the same weights. A layer is called as
    ``layer(data, attention_mask)`` with data [B, T, D], or as ``layer(data, attention_mask, state)
    -> (data, state)``.

    Args:
        pooled_output_dim: P, the size of the pooled output.
        pooler_layer_initializer: fills the pooler's weight in place; None: truncated normal, 0.02.
        embedding_cls: class or instance; None: `TransformerEmbedding`. It is called with the inputs
            as they were given, and returns [B, T, D] or ([B, T, D], attention_mask). A mask that it
            returns is used in place of ``mask_cls``, which otherwise makes one from ``input_mask``.
        embedding_cfg: keyword arguments of the class.
        embedding_data: the embedding table of a custom embedding, for `get_embedding_table`.
        num_hidden_instances: the number of slots; an instance is called so many times.
        hidden_cls: class, instance, or a list of ``num_hidden_instances`` of either.
        hidden_cfg: keyword arguments of every class in ``hidden_cls``.
        mask_cls: class or instance: ``(data [B, T, D], input_mask [B, T]) -> attention_mask``. A
            layer with an attribute ``mask_cls`` of its own gets the mask that this one makes.
        mask_cfg: keyword arguments of the class.
        layer_norm_before_pooling: normalise the last output (which is what pre-norm layers need).
        return_all_layer_outputs: return every layer's output instead of the last.
        dict_outputs: return a dict; it wins over ``return_all_layer_outputs``.
        layer_idx_as_attention_seed: set ``attention_cfg["seed"]`` to the slot's index.
        feed_layer_idx: pass ``layer_idx`` to every class.
        recursive: hand a state from layer to layer; None at first. Layers that take none pass it by.

    Raises:
        InputError: arguments are wrong; the message has a line for each.
    """

    def __init__(
        self,
        pooled_output_dim: int,
        pooler_layer_initializer: Callable[[Tensor], object] | None = None,
        embedding_cls: Any = None,
        embedding_cfg: Mapping[str, Any] | None = None,
        embedding_data: Any = None,
        num_hidden_instances: int = 1,
        hidden_cls: Any = Transformer,
        hidden_cfg: Mapping[str, Any] | None = None,
        mask_cls: Any = SelfAttentionMask,
        mask_cfg: Mapping[str, Any] | None = None,
        layer_norm_before_pooling: bool = False,
        return_all_layer_outputs: bool = False,
        dict_outputs: bool = False,
        layer_idx_as_attention_seed: bool = False,
        feed_layer_idx: bool = False,
        recursive: bool = False,
    ) -> None:
        super().__init__()
        self.config = plain(self.config)  # callers may change theirs afterwards
        embedding_cls = TransformerEmbedding if embedding_cls is None else embedding_cls
        hidden_cls = plain(hidden_cls)
        listed = isinstance(hidden_cls, list | tuple)
        plan = SlotPlan(
            hidden_cls if listed else [hidden_cls] * repeats(num_hidden_instances),
            plain(hidden_cfg) if isinstance(hidden_cfg, Mapping) else {},
            feed_layer_idx=feed_layer_idx is True,
            layer_idx_as_attention_seed=layer_idx_as_attention_seed is True,
            recursive=recursive is True,
            listed=listed,
        )
        check_arguments(
            pooled_output_dim=pooled_output_dim,
            pooler_layer_initializer=pooler_layer_initializer,
            parts={"embedding": (embedding_cls, embedding_cfg), "mask": (mask_cls, mask_cfg)},
            embedding_data=embedding_data,
            num_hidden_instances=num_hidden_instances,
            hidden_cfg=hidden_cfg,
            flags={
                "layer_norm_before_pooling": layer_norm_before_pooling,
                "return_all_layer_outputs": return_all_layer_outputs,
                "dict_outputs": dict_outputs,
                "layer_idx_as_attention_seed": layer_idx_as_attention_seed,
                "feed_layer_idx": feed_layer_idx,
                "recursive": recursive,
            },
            plan=plan,
        )
        self.return_all_layer_outputs = return_all_layer_outputs
        self.dict_outputs = dict_outputs
        self.activation_checkpointing = False  # whether training keeps only what goes from layer to layer
        self._build_embedding(build_part("embedding", embedding_cls, embedding_cfg), embedding_data)
        self._hidden_size = width_of(self.embedding, embedding_cfg, plan)
        self._build_slots(plan, build_part("mask", mask_cls, mask_cfg))
        width = self._hidden_size
        self.output_layer_norm = nn.LayerNorm(width, eps=1e-12) if layer_norm_before_pooling else None
        self.pooler_layer = nn.Linear(width, pooled_output_dim)
        (pooler_layer_initializer or truncated_normal)(self.pooler_layer.weight)
        nn.init.zeros_(self.pooler_layer.bias)

    def _build_embedding(self, embedding: nn.Module, data: Any) -> None:
        """Keep the embedding; data that belongs to it is kept by name, which survives copies and moves."""
        self.embedding = embedding
        path = None if data is None else path_in(embedding, data)
        named = data if path is None else Attribute(embedding, path)
        self._embedding_data = (named,)  # inside a tuple it is not registered as a part of this module

    def _build_slots(self, plan: SlotPlan, mask_layer: nn.Module) -> None:
        layers = plan.build(self._hidden_size, self.max_seq_length)
        slots, blocks, masks = make_slots(layers, mask_layer, recursive=plan.recursive)
        self._slots: tuple[Slot, ...] = tuple(slots)
        self.blocks, self.masks = nn.ModuleList(blocks), nn.ModuleList(masks)

    def forward(self, inputs: Inputs) -> Any:
        """Map the inputs to outputs of the form that the constructor's flags ask for.

        Args:
            inputs: a dict with ``input_word_ids`` [B, T], and perhaps ``input_mask`` and
                ``input_type_ids`` [B, T]; or a list or tuple in this order. Without a mask every
                token is real; without types every type is 0. A custom embedding may want others.

        Returns:
            ``[sequence [B, T, D], pooled [B, P]]``, or ``[[output of each layer], pooled]``, or
            ``{"sequence_output", "pooled_output", "encoder_outputs": [output of each layer]}``.

        Raises:
            InputError: an input is unknown, of a wrong shape or dtype, or too long.
        """
        outputs = self._layer_outputs(inputs)
        pooled = torch.tanh(self.pooler_layer(outputs[-1][:, 0]))
        if self.dict_outputs:
            return {
                "sequence_output": outputs[-1],
                "pooled_output": pooled,
                "encoder_outputs": outputs,
            }
        return [outputs, pooled] if self.return_all_layer_outputs else [outputs[-1], pooled]

    def sequence_output(self, inputs: Inputs) -> Tensor:
        """Return the last layer's output [B, T, D] alone: what token tasks train on."""
        return self._layer_outputs(inputs)[-1]

    def chosen_output(self, inputs: Inputs, chosen: Tensor) -> Tensor:
        """Return `sequence_output` at places ``chosen`` [B, m], [B, m, D]; the others are not finished."""
        return self._layer_outputs(inputs, chosen)[-1]

    @property
    def hidden_size(self) -> int:
        """D, the width of the embeddings and of every layer's output."""
        return self._hidden_size

    @property
    def max_seq_length(self) -> int | None:
        """The longest T that the embedding takes; None: any."""
        length = getattr(self.embedding, "max_seq_length", None)
        return length if isinstance(length, int) else None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What is known of each position; ``encoder.blocks[slot.block]`` is its module."""
        return self._slots

    @property
    def hidden_layers(self) -> list[nn.Module]:
        """The module of each slot, in a list of your own; a shared one appears repeatedly."""
        return [self.blocks[slot.block] for slot in self._slots]

    @property
    def embedding_network(self) -> nn.Module:
        """The module that makes embeddings from inputs."""
        return self.embedding

    @property
    def embedding_layer(self) -> nn.Module:
        """The same as `get_embedding_layer`."""
        return self.get_embedding_layer()

    def get_embedding_layer(self) -> nn.Module:
        """Return the layer that holds the embedding table.

        Raises:
            RuntimeError: a custom embedding has no attribute ``embedding_layer``.
        """
        layer = getattr(self.embedding, "embedding_layer", None)
        if not isinstance(layer, nn.Module):
            raise RuntimeError(self._no_reference("layer: give it an attribute `embedding_layer`"))
        return layer

    def get_embedding_table(self) -> Any:
        """Return the table of word vectors [V, D], or the ``embedding_data`` that was given.

        Raises:
            RuntimeError: a custom embedding came without ``embedding_data`` or ``embedding_layer``.
        """
        (data,) = self._embedding_data
        if data is not None:
            return data.value() if isinstance(data, Attribute) else data
        table = getattr(getattr(self.embedding, "embedding_layer", None), "weight", None)
        if table is None:
            raise RuntimeError(self._no_reference("data: pass embedding_data"))
        return table

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument in a plain form; see `nas.scaffold_config`.

        It can be written as JSON if classes and functions can be imported and instances know their
        arguments (`nas.configured.Configured`, or a ``get_config`` of their own).
        """
        config = dict(self.config)
        if "embedding_data" in config:
            (config["embedding_data"],) = self._embedding_data
        encoded: dict[str, Any] = ConfigWriter().encode(config)
        return encoded

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> EncoderScaffold:
        """Build an encoder from what `get_config` returned: the same structure, weights of its own.

        Raises:
            InputError: a class in it is not available, or an argument is wrong.
        """
        return cls(**ConfigReader(config).decode(config))

    def to_json(self) -> str:
        """Return `get_config` as JSON.

        Raises:
            InputError: it holds something that has no name, such as a class inside a function.
        """

        def refuse(value: object) -> None:
            what = name_of(value.value) if isinstance(value, Live) else repr(value)
            raise InputError(f"{what} can not be written as JSON: it can not be found again by its name")

        return json.dumps(self.get_config(), default=refuse)

    @classmethod
    def from_json(cls, text: str) -> EncoderScaffold:
        """Build an encoder from what `to_json` returned."""
        return cls.from_config(json.loads(text))

    def _layer_outputs(self, inputs: Inputs, chosen: Tensor | None = None) -> list[Tensor]:
        """Return the output [B, T, D] of each slot; with ``chosen`` the last is that at chosen tokens."""
        data, embedded_mask = self._embed(inputs)
        masks = ForwardMasks(self.masks, data, mask_of(inputs), embedded_mask)
        states: dict[str, Any] = {}
        outputs: list[Tensor] = []
        again = self.activation_checkpointing and self.training and torch.is_grad_enabled()
        layers, seen = self.hidden_layers, [masks.for_slot(slot) for slot in self._slots]
        whole = len(layers) if chosen is None else count_whole(layers, seen)
        for slot, layer, mask in zip(self._slots[:whole], layers, seen, strict=False):
            data = call_layer(recomputed(layer, again), slot, data, mask, states)
            outputs.append(data)
        if chosen is not None:
            outputs.append(run_chosen(layers[whole:], seen[whole:], data, chosen))
        if self.output_layer_norm is not None:
            outputs[-1] = self.output_layer_norm(outputs[-1])
        return outputs

    def _embed(self, inputs: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return embeddings [B, T, D], and the attention mask if the embedding makes one."""
        embedded = self.embedding(inputs)
        data, mask = embedded if isinstance(embedded, tuple | list) else (embedded, None)
        if data.dim() != 3 or data.shape[-1] != self._hidden_size:
            raise InputError(
                f"{name_of(self.embedding)} returned embeddings of shape {list(data.shape)}: "
                f"expected [B, T, {self._hidden_size}]"
            )
        return data, mask

    def _no_reference(self, what: str) -> str:
        return (
            f"The EncoderScaffold does not have a reference to the embedding {what} "
            f"(embedding_cls={name_of(self.embedding)})"
        )
