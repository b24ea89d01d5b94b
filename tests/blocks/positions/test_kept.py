"""Tables are made once for each size, and serve training wherever they were made first."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.blocks.positions.kept import KEPT, is_kept, kept
from nas.blocks.positions.rope import rotate


def counted() -> tuple[list[tuple[int, torch.dtype]], object]:
    made: list[tuple[int, torch.dtype]] = []

    def make(size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        made.append((size, dtype))
        return (torch.ones(size, device=device, dtype=dtype),)

    return made, make


def test_a_table_is_made_once_for_each_size_and_dtype() -> None:
    made, make = counted()
    data = torch.zeros(2)
    first = kept(make, data, 3)  # type: ignore[arg-type]
    assert kept(make, data, 3) is first  # type: ignore[arg-type]
    kept(make, data, 4)  # type: ignore[arg-type]
    assert kept(make, data.double(), 3)[0].dtype is torch.float64  # type: ignore[arg-type]
    assert made == [(3, torch.float32), (4, torch.float32), (3, torch.float64)]


def test_those_not_used_for_long_are_made_again() -> None:
    made, make = counted()
    data = torch.zeros(2)
    for size in range(KEPT + 1):
        kept(make, data, size)  # type: ignore[arg-type]
    kept(make, data, KEPT)  # type: ignore[arg-type]
    kept(make, data, 0)  # type: ignore[arg-type]
    assert len(made) == KEPT + 2


def test_what_evaluation_made_first_serves_training() -> None:
    tokens = 37  # of no other test
    with torch.inference_mode():
        rotate(torch.randn(1, 1, tokens, 6), theta=50.0)
    query = torch.randn(1, 1, tokens, 6, requires_grad=True)
    rotate(query, theta=50.0)[0].sum().backward()
    assert query.grad is not None


def test_a_table_and_its_views_are_told_from_other_tensors() -> None:
    _, make = counted()
    [table] = kept(make, torch.zeros(2), 3)  # type: ignore[arg-type]
    assert is_kept(table)
    assert is_kept(table[None, 1:])
    assert not is_kept(table + 0)
