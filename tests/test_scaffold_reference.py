"""A scaffold with the Model Garden's weights is an ordinary one: other calls and copies give its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.interop.model_garden import build
from nas.scaffold import EncoderScaffold

HERE = Path(__file__).parent / "reference"
CASES = json.loads((HERE / "manifest.json").read_text())["cases"]
ENCODERS = [name for name, case in CASES.items() if case["kind"] == "encoder_scaffold"]


def load(name: str) -> tuple[EncoderScaffold, dict[str, Tensor], dict[str, Any]]:
    """Return the encoder with the case's weights, the inputs by name, and all arrays."""
    stored = dict(np.load(HERE / f"{name}.npz"))
    encoder = build(CASES[name], stored)
    assert isinstance(encoder, EncoderScaffold)
    order = CASES[name]["input_order"]
    return encoder, {key: torch.from_numpy(stored[f"inputs/{key}"]) for key in order}, stored


def sequence(returned: Any) -> Tensor:
    out: Tensor = returned["sequence_output"] if isinstance(returned, dict) else returned[0]
    return out


@pytest.mark.parametrize("name", ENCODERS)
def test_every_way_to_call_gives_the_reference(name: str) -> None:
    encoder, inputs, stored = load(name)
    expected = torch.from_numpy(stored["outputs/sequence_output"])
    with torch.no_grad():
        listed, named = encoder(list(inputs.values())), encoder(inputs)
        alone = encoder.sequence_output(inputs)
    torch.testing.assert_close(sequence(listed), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(sequence(named), sequence(listed))
    assert torch.equal(alone, sequence(listed))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_copy_by_configuration_and_weights_gives_the_reference(name: str) -> None:
    encoder, inputs, _ = load(name)
    copy = EncoderScaffold.from_config(encoder.get_config()).eval()
    assert not torch.equal(copy.pooler_layer.weight, encoder.pooler_layer.weight)
    copy.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert torch.equal(sequence(copy(inputs)), sequence(encoder(inputs)))
    assert len({id(layer) for layer in copy.hidden_layers}) == len({id(b) for b in encoder.hidden_layers})
