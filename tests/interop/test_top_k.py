"""The heap's order: values recorded from TensorFlow 2.20's ``top_k(sorted=False)`` on a CPU."""

from __future__ import annotations

import pytest
import torch

from nas.interop.model_garden.top_k import heap_order

RECORDED = [
    ([3, 6, 6, 0, 9], [2, 1, 4]),
    ([8, 4, 7, 0, 0, 7, 1, 5, 7], [8, 5, 2, 0]),
    ([0, 1, 4, 6, 2, 9, 9, 9, 9, 1, 2, 7], [2, 3, 11, 6, 7, 5, 8]),
    ([0, 5, 0, 0, 4, 4, 9, 3, 2, 4, 6, 9, 3, 3, 2, 1], [4, 1, 6, 10, 11]),
    ([5, 7, 4, 3, 1, 7], [3, 0, 2, 5, 1]),
    ([3, 1, 9, 5, 7, 0], [2, 4, 3, 0, 1, 5]),
    ([9, 6, 0, 5], [0]),
    ([2, 8, 6, 8, 0, 5, 2, 0], [2, 3, 1]),
]


@pytest.mark.parametrize(("values", "order"), RECORDED)
def test_the_order_is_the_recorded_one(values: list[int], order: list[int]) -> None:
    assert heap_order(torch.tensor(values), len(order)).tolist() == order


def test_it_holds_the_greatest_of_any_rows() -> None:
    values = torch.randn(2, 3, 20, generator=torch.Generator().manual_seed(0))
    order = heap_order(values, 6)
    assert order.shape == (2, 3, 6)
    torch.testing.assert_close(values.gather(-1, order).sort(-1).values, values.sort(-1).values[..., 14:])
    assert heap_order(values, 0).shape == (2, 3, 0)
