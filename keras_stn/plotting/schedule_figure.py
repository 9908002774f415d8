"""The drawing; the only file that imports matplotlib."""

import io
import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from keras_stn.plotting.spread import spread

# Okabe and Ito's colours, which the colour-blind can tell apart, with grey in
# the place of their yellow, which is too light for a line on white.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#888888",
)
# Printed in grey, neighbours differ in these.
STYLES = ("-", "--", "-.", (0, (1, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A quantity this many times as large as at its least gets a log axis.
DECADES = 100.0

# Inches, and points of text.
LEFT, BOTTOM, AXES_WIDTH = 0.75, 0.52, 5.0
TITLE_HEIGHT, SPACE = 0.32, 0.12
LEAST_HEIGHT, HEIGHT_OF_A_LINE = 1.15, 0.22
LEADER, PADDING = 0.3, 0.1
TEXT, TITLE = 8.5, 10.0
LINE_HEIGHT = 1.35 * TEXT / 72
DPI = 120


class ScheduleFigure(Figure):
    """Panels above each other, over one axis of time.

    A figure outside of `pyplot`, so nothing stays open; a notebook shows it
    because it can turn itself into a PNG.

    Args:
        panels: List of `Panel`.
        x_label: String, the unit of time.
    """

    def __init__(self, panels, x_label):
        super().__init__(dpi=DPI)
        canvas = FigureCanvasAgg(self)
        texts = [line.label for panel in panels for line in panel.lines]
        width, height = LEFT + AXES_WIDTH, BOTTOM
        width += LEADER + PADDING + measure(canvas, texts)
        heights = [
            max(LEAST_HEIGHT, HEIGHT_OF_A_LINE * len(panel.lines))
            for panel in panels
        ]
        height += sum(heights) + len(panels) * (TITLE_HEIGHT + SPACE)
        self.set_size_inches(width, height)
        top, shared = height, None
        for panel, inches in zip(panels, heights):
            top -= TITLE_HEIGHT + inches
            place = (LEFT, top, AXES_WIDTH, inches)
            axes = self.add_axes(
                np.divide(place, (width, height, width, height)), sharex=shared
            )
            shared = shared or axes
            draw(axes, panel)
            axes.tick_params(labelsize=TEXT, labelbottom=panel is panels[-1])
            top -= SPACE
        axes.set_xlabel(x_label, fontsize=TEXT)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        for axes, panel, inches in zip(self.axes, panels, heights):
            label_ends(axes, panel, inches)
        if any(line.lower is not None for p in panels for line in p.lines):
            self.text(
                (width - PADDING) / width,
                PADDING / height,
                "bands: one scale around the value",
                fontsize=TEXT - 1,
                color="0.4",
                ha="right",
            )

    def _repr_png_(self):
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def measure(canvas, texts):
    """The width of the longest text, in inches."""
    font = FontProperties(size=TEXT)
    renderer = canvas.get_renderer()
    return (
        max(
            renderer.get_text_width_height_descent(text, font, False)[0]
            for text in texts
        )
        / canvas.figure.dpi
    )


def draw(axes, panel):
    """Draws the lines of a panel, each with its band."""
    axes.set_title(panel.title, loc="left", fontsize=TITLE)
    axes.set_ylabel(panel.unit, fontsize=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.0)
    for line, look in zip(panel.lines, looks()):
        color = look["color"]
        if line.lower is not None:
            axes.fill_between(
                line.x,
                line.lower,
                line.upper,
                step="post" if line.is_whole else None,
                color=color,
                alpha=0.1,
                linewidth=0,
            )
        axes.plot(
            line.x,
            line.y,
            drawstyle="steps-post" if line.is_whole else "default",
            linewidth=1.4,
            markersize=4,
            label=line.name,
            **look,
        )
    if all(line.is_whole for line in panel.lines):
        axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if panel.is_metrics:
        # The first steps are often far above all that follows.
        values = np.concatenate([after_start(line) for line in panel.lines])
        low, high = values.min(), values.max()
        margin = 0.05 * (high - low or abs(high) or 1.0)
        axes.set_ylim(low - margin, high + margin)
        return
    values = np.concatenate([line.y for line in panel.lines])
    if panel.may_be_log and spans_decades(values):
        axes.set_yscale("log")
    elif values.min() >= 0:
        axes.set_ylim(bottom=0)


def after_start(line):
    """A line's values but those of the first twentieth of its time."""
    return line.y[line.x >= 0.95 * line.x[0] + 0.05 * line.x[-1]]


def looks():
    """A colour, a style and sparse markers for one line after another."""
    for i in itertools.count():
        yield {
            "color": COLORS[i % len(COLORS)],
            "linestyle": STYLES[i % len(STYLES)],
            "marker": MARKERS[i % len(MARKERS)],
            # As shares of the panel, so that markers of lines that lie on
            # each other lie apart.
            "markevery": (0.06 + 0.03 * (i % len(MARKERS)), 0.3),
        }


def spans_decades(values):
    """Whether a linear axis would flatten the lower ones of some values."""
    return values.min() > 0 and values.max() >= DECADES * values.min()


def label_ends(axes, panel, inches):
    """Writes names and values at the right ends of the lines."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    to_share = axes.transScale + axes.transLimits
    ends = [line.y[-1] for line in panel.lines]
    shares = [
        to_share.transform((line.x[-1], line.y[-1]))[1] for line in panel.lines
    ]
    gap = LINE_HEIGHT / inches
    places = spread(shares, gap, gap / 2, 1 - gap / 2)
    for line, end, place, look in zip(panel.lines, ends, places, looks()):
        axes.annotate(
            line.label,
            xy=(1.0, end),
            xycoords=axes.get_yaxis_transform(),
            xytext=(1 + LEADER / AXES_WIDTH, place),
            textcoords="axes fraction",
            va="center_baseline",
            fontsize=TEXT,
            annotation_clip=False,
            parse_math=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look["color"],
                "linestyle": look["linestyle"],
                "linewidth": 1.0,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
