"""The plots of a report as inline SVG: text stays text, and colours are the page's own, in light and dark.

matplotlib draws with placeholder colours, which become CSS variables. Series differ in dash and marker as well as in colour
(Okabe and Ito's palette); maps use cividis, which reads the same with every kind of colour vision.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["DRAWINGS", "draw"]

Data = Mapping[str, Any]

# Placeholder colours by what becomes of them; no other colour of a drawing is like one of them.
_TEXT, _LINE, _FIRST, _SECOND, _BAND, _PAGE = "#010203", "#010204", "#010205", "#010206", "#010207", "#010208"
_COLOURS = {
    _TEXT: "currentColor",
    _LINE: "var(--line)",
    _FIRST: "var(--series-1)",
    _SECOND: "var(--series-2)",
    _BAND: "var(--band)",
    _PAGE: "var(--page)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rmspec",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.titlesize": 10,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "grid.color": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "hatch.color": _SECOND,
}


def draw(name: str, data: Data) -> str:
    """The plot ``name`` of ``DRAWINGS`` as an ``svg`` element. The same data give the same text."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": f"rmspec-{name}"}):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        FigureCanvasSVG(figure)
        DRAWINGS[name](figure, data)
        out = io.StringIO()
        with warnings.catch_warnings():
            # A name may have letters that the font which measures it lacks; the browser has others.
            warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    for placeholder, colour in _COLOURS.items():
        text = text.replace(placeholder, colour)
    # Ids are the page's: two drawings must not share one.
    text = re.sub(r'\b(id="|xlink:href="#|href="#|url\(#)', rf"\g<1>{name}-", text)
    # Its size is the page's business.
    return re.sub(
        r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", text, count=1), count=1
    )


def _trajectories(figure: Any, data: Data) -> None:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    lows, highs = (np.array([ends[i] for ends in data["band"]]) for i in (0, 1))
    steps = np.arange(len(lows))
    middle = (lows + highs) / 2
    styles = ((_FIRST, "-", "o"), (_SECOND, "--", "s"))
    handles = [above.fill_between(steps, lows, highs, color=_BAND, linewidth=4)]
    labels = [f"envelope of {data['dialect']}"]
    below.fill_between(steps[1:], 1e-9, ((highs - lows) / 2)[1:], color=_BAND, linewidth=0)
    for subject, (colour, dash, marker) in zip(data["subjects"], styles, strict=False):
        theta = np.array([float(each) for each in subject["theta"]])
        own = steps[: len(theta)]
        (line,) = above.plot(own, theta, dash, color=colour, marker=marker, markevery=4, markersize=4)
        handles.append(line)
        # A name that matplotlib would take for mathematics is a name all the same.
        labels.append(subject["name"].replace("$", r"\$"))
        distance = np.maximum(np.abs(theta - middle[: len(theta)]), 1e-9)
        below.plot(own[1:], distance[1:], dash, color=colour, marker=marker, markevery=4, markersize=4)
    if data["parted"] is not None:
        for axes in (above, below):
            axes.axvline(data["parted"], color=_TEXT, linewidth=1, linestyle=":")
        above.annotate(
            f" parted at step {data['parted']}", (data["parted"], 1), xycoords=("data", "axes fraction"), va="top"
        )
    above.set_ylabel("theta")
    above.legend(handles, labels, loc="lower left")
    below.set(yscale="log", xlabel="step", ylabel="distance from\nthe middle")
    for axes in (above, below):
        axes.grid(linewidth=0.5)


def _envelope_use(figure: Any, data: Data) -> None:
    formats = list(data["formats"])
    rows = math.ceil(len(formats) / 3)
    grid = figure.subplots(rows, min(3, len(formats)), sharex=True, sharey=True, squeeze=False)
    edges = data["edges_ulp"]
    labels = [f"{edge:g}" for edge in edges[:-1]]
    places = np.arange(len(labels))
    for axes in grid.flat[len(formats) :]:
        axes.set_visible(False)
    for name, axes in zip(formats, grid.flat, strict=False):
        counts = data["formats"][name]
        total = max(counts["results"], 1)
        used, allowed = (np.array(counts[key]) / total for key in ("used", "allowed"))
        axes.bar(places, used, width=0.85, color=_FIRST, label="result")
        axes.step(
            np.append(places - 0.5, places[-1] + 0.5),
            np.append(allowed, allowed[-1]),
            where="post",
            color=_SECOND,
            linewidth=1.8,
            linestyle="--",
            label="end of the envelope",
        )
        axes.set_title(f"{name} ({counts['results']:,} results)")
        axes.grid(axis="y", linewidth=0.5)
        axes.set_xticks(places[::2], labels[::2], fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("ulp from the middle, from")
    for axes in grid[:, 0]:
        axes.set_ylabel("share")
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2)


def _step_map(figure: Any, data: Data) -> None:
    from matplotlib.patheffects import withStroke

    axes = figure.subplots()
    values = np.log10(np.maximum(np.array(data["difference"]), 1e-16))
    v, eps = (np.log10(data[key]) for key in ("v", "eps"))
    image = axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        cmap="cividis",
        vmin=-8,
        vmax=0,
        extent=(v[0], v[-1], eps[0], eps[-1]),
        interpolation="nearest",
    )
    lines = axes.contour(
        v, eps, values, levels=[-7, -3, -1], colors="#000000", linewidths=1.2, linestyles=["-", "--", ":"]
    )
    # Black on a white rim is read on every colour of the map.
    rim = [withStroke(linewidth=3, foreground="#ffffff")]
    lines.set_path_effects(rim)
    for label in axes.clabel(lines, fmt=lambda level: f"1e{level:.0f}", fontsize=9, colors="#000000"):
        label.set_path_effects(rim)
    axes.set(xlabel="log10 of v", ylabel="log10 of eps")
    figure.colorbar(image, label="log10 of the relative difference", extend="min")


def _nan_reach(figure: Any, data: Data) -> None:
    axes = figure.subplots()
    values = np.array(data["admitted"])
    image = axes.imshow(values, origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(data["steps"])), [f"{each:,}" for each in data["steps"]], rotation=45, fontsize=8)
    axes.set_yticks(range(len(data["alphas"])), [f"{each:g}" for each in data["alphas"]])
    for (row, column), share in np.ndenumerate(np.array(data["reached"])):
        if share > 0:
            colour = "#000000" if values[row, column] > 0.5 else "#ffffff"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="step", ylabel="alpha")
    figure.colorbar(image, label="share whose envelope admits NaN\n(numbers: percent NaN in the reference)")


DRAWINGS: Mapping[str, Callable[[Any, Data], None]] = {
    "trajectories": _trajectories,
    "envelope_use": _envelope_use,
    "step_map": _step_map,
    "nan_reach": _nan_reach,
}
"""The plots by the name of their data."""
