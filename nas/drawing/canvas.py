"""The pieces of a drawing and its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from nas.drawing.rows import Row
from nas.strip import assign_lanes, px

STYLE = """
.nas-paper{fill:#ffffff;stroke:#d5dce3}.nas-ink{fill:#18222c}.nas-dim{fill:#586673}
.nas-plain{fill:#eef2f5;stroke:#aab6c1}.nas-bar{fill:#8497a8}.nas-track{fill:#e6ebef}
.nas-line{stroke:#7d8b99;fill:none}.nas-head{fill:#7d8b99}.nas-link{stroke:#18222c;fill:none}
.nas-knot{fill:#18222c}.nas-state{stroke:#a8417f;fill:none}.nas-state-head{fill:#a8417f}
.nas-loop{stroke:#2f6f9f;fill:none}.nas-loop-head,.nas-loop-text{fill:#2f6f9f}
@media screen and (prefers-color-scheme:dark){
.nas-paper{fill:#151c23;stroke:#323d48}.nas-ink{fill:#e8edf2}.nas-dim{fill:#9dabb8}
.nas-plain{fill:#25303a;stroke:#56646f}.nas-bar{fill:#7f93a6}.nas-track{fill:#2a3540}
.nas-line{stroke:#7f8d9a}.nas-head{fill:#7f8d9a}.nas-link{stroke:#e8edf2}
.nas-knot{fill:#e8edf2}.nas-state{stroke:#e59cc6}.nas-state-head{fill:#e59cc6}
.nas-loop{stroke:#8cc4ec}.nas-loop-head,.nas-loop-text{fill:#8cc4ec}}
"""

WIDTH, MARGIN, TOP = 940.0, 24.0, 106.0
PARAMETERS_X, FLOPS_X = 600.0, 762.0
BOX_WIDTH, INSET = 140.0, 9.0
_LINK_LANE, _STATE_LANE, _LOOP_LANE = 14.0, 16.0, 30.0


@dataclass
class Canvas:
    """The pieces of the picture, and the columns that depend on how many links there are.

    Attributes:
        rows: the lines, placed.
        links: positions of the slots that share weights, a list for each module.
        states: positions of the slots that hand on a state, a list for each kind.
    """

    rows: Sequence[Row]
    links: list[list[int]]
    states: list[list[int]]
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link_lanes, self.state_lanes = assign_lanes(self.links), assign_lanes(self.states)
        self.loop_lanes = max((loop_height(row) for row in self.rows), default=0)
        self.box_x = MARGIN + 20 + _LINK_LANE * (max(self.link_lanes, default=-1) + 1)
        self.box_end = self.box_x + BOX_WIDTH
        self.centre = (self.box_x + self.box_end) / 2
        self.rails_x = self.box_end + _LOOP_LANE * self.loop_lanes
        self.note_x = self.rails_x + 16 + _STATE_LANE * (max(self.state_lanes, default=-1) + 1)

    def link_x(self, lane: int) -> float:
        """Return where a link runs, left of the boxes."""
        return self.box_x - 12 - _LINK_LANE * lane

    def state_x(self, lane: int) -> float:
        """Return where a state runs, right of boxes and loops."""
        return self.rails_x + 14 + _STATE_LANE * lane

    def loop_x(self, row: Row) -> float:
        """Return where the loop of a line runs: outside of those inside it."""
        return self.box_end + 10 + _LOOP_LANE * (loop_height(row) - 1)

    def edges(self, row: Row) -> tuple[float, float]:
        """Return where a line's box begins and ends."""
        inset = INSET * row.depth
        return self.box_x + inset, self.box_end - inset

    def text(
        self, x: float, y: float, text: str, kind: str = "ink", size: float = 13, extra: str = ""
    ) -> None:
        """Add one line of text that starts at ``x`` unless ``extra`` anchors it elsewhere."""
        self.parts.append(
            f'<text x="{px(x)}" y="{px(y)}" class="nas-{kind}" font-size="{px(size)}" {extra}>'
            f"{escape(text)}</text>"
        )

    def line(self, path: str, kind: str = "line", extra: str = "") -> None:
        """Add a stroke, or a filled shape."""
        self.parts.append(f'<path d="{path}" class="nas-{kind}" {extra}/>')


def loop_height(row: Row) -> int:
    """Return how many loops of this line and those inside it run around each other."""
    inside = max((loop_height(inner) for inner in row.inner), default=0)
    return inside + (row.loops > 1)
