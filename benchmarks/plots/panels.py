"""A figure as data: its panels and texts. It is drawn as a PNG and as SVG charts of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import SYNTHETIC
from .curves import CurvePanel, draw_curves
from .intervals import RowPanel, draw_intervals
from .svg import Chart
from .svg_curves import curve_chart
from .svg_rows import row_chart


@dataclass(frozen=True)
class PanelFigure:
    """Figure as data.

    Attributes:
        name: file name of its PNG.
        alt: its numbers in words.
        title: its title.
        caption: text below the title.
        panels: panels of one kind, row by row; empty if they are not known.
        columns: panels beside each other.
    """

    name: str
    alt: str = ""
    title: str = ""
    caption: str = ""
    panels: Sequence[CurvePanel] | Sequence[RowPanel] = ()
    columns: int = 1

    def png(self, synthetic: bool = False) -> bytes:
        """Draw the figure for a Markdown page, with a stamp if its images are synthetic."""
        texts = {
            "title": self.title,
            "caption": self.caption,
            "description": f"{SYNTHETIC}: {self.alt}" if synthetic else self.alt,
        }
        curves = [panel for panel in self.panels if isinstance(panel, CurvePanel)]
        if curves:
            return draw_curves(curves, **texts, columns=self.columns, synthetic=synthetic)
        rows = [panel for panel in self.panels if isinstance(panel, RowPanel)]
        return draw_intervals(rows, **texts, columns=self.columns, synthetic=synthetic)

    def charts(self, synthetic: bool = False) -> tuple[Chart, ...]:
        """Draw the charts of an HTML page; curves in several columns are small charts."""
        stamp = SYNTHETIC if synthetic else ""
        return tuple(
            curve_chart(panel, small=self.columns > 1, stamp=stamp)
            if isinstance(panel, CurvePanel)
            else row_chart(panel, stamp=stamp)
            for panel in self.panels
        )
