"""What every bench is: settings, a measurement, and its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nas.configured import Configured

if TYPE_CHECKING:
    from rich.table import Table

    from nas.progress import Say


class Shape(NamedTuple):
    """The sizes of one measurement: B, T, D and H."""

    batch: int
    tokens: int
    hidden_size: int
    num_heads: int


class Bench(Configured):
    """One bench: its constructor takes its settings (``conf/bench/<name>.yaml``) and checks them."""

    name: ClassVar[str]

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Measure, and return the results as values for JSON.

        Args:
            seed: of weights, data and orders.
            report: told what happens, a line at a time.

        Raises:
            InputError: a setting names what is not there.
        """
        raise NotImplementedError

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return what a person reads of the results: tables, and lines in plain words."""
        raise NotImplementedError
