"""The page's pseudocode, line by line, typeset as MathML; the rows of the clauses give the line of each.

The lines are the page's own LaTeX. Source: the documentation page of ``torch.optim.RMSprop``.
"""

from __future__ import annotations

import html
import importlib.util
from dataclasses import dataclass

from rmspec.impl.spec.clauses import CLAUSES, PageLine

__all__ = ["LINES", "Line", "mathml"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name in the rows of the clauses, its text, its LaTeX, and how deep it is indented."""

    name: PageLine
    text: str
    latex: str
    indent: int

    @property
    def clauses(self) -> tuple[str, ...]:
        """List the ids of the clauses at this line, in the order of the page."""
        return tuple(row.id for row in CLAUSES.values() if self.name in row.lines)


LINES = (
    Line(
        "input",
        "input: α (alpha), γ (lr), θ_0 (params), f(θ) (objective), λ (weight decay), μ (momentum), centered",
        r"\textbf{input: } \alpha \text{ (alpha)},\: \gamma \text{ (lr)},\: \theta_0 \text{ (params)},\: f(\theta) "
        r"\text{ (objective)},\: \lambda \text{ (weight decay)},\: \mu \text{ (momentum)},\: \textit{centered}",
        0,
    ),
    Line(
        "initialize",
        "initialize: v_0 ← 0 (square average), b_0 ← 0 (buffer), g_ave_0 ← 0",
        r"\textbf{initialize: } v_0 \leftarrow 0 \text{ (square average)},\: b_0 \leftarrow 0 \text{ (buffer)},\: "
        r"g^{ave}_0 \leftarrow 0",
        0,
    ),
    Line("loop", "for t = 1 to ... do", r"\textbf{for } t = 1 \textbf{ to } \ldots \textbf{ do}", 0),
    Line("gradient", "g_t ← ∇_θ f_t(θ_{t-1})", r"g_t \leftarrow \nabla_{\theta} f_t (\theta_{t-1})", 1),
    Line("if decay", "if λ ≠ 0", r"\textbf{if } \lambda \neq 0", 1),
    Line("decay", "g_t ← g_t + λ θ_{t-1}", r"g_t \leftarrow g_t + \lambda \theta_{t-1}", 2),
    Line("square average", "v_t ← α v_{t-1} + (1 - α) g_t^2", r"v_t \leftarrow \alpha v_{t-1} + (1 - \alpha) g^2_t", 1),
    Line("variance", "ṽ_t ← v_t", r"\tilde{v_t} \leftarrow v_t", 1),
    Line("if centered", "if centered", r"\textbf{if } \textit{centered}", 1),
    Line(
        "gradient average",
        "g_ave_t ← g_ave_{t-1} α + (1 - α) g_t",
        r"g^{ave}_t \leftarrow g^{ave}_{t-1} \alpha + (1-\alpha) g_t",
        2,
    ),
    Line(
        "centered variance",
        "ṽ_t ← ṽ_t - (g_ave_t)^2",
        r"\tilde{v_t} \leftarrow \tilde{v_t} - \left(g^{ave}_{t} \right)^2",
        2,
    ),
    Line("if momentum", "if μ > 0", r"\textbf{if } \mu > 0", 1),
    Line(
        "buffer",
        "b_t ← μ b_{t-1} + g_t / (√ṽ_t + ε)",
        r"b_t \leftarrow \mu b_{t-1} + g_t / \left(\sqrt{\tilde{v_t}} + \epsilon \right)",
        2,
    ),
    Line("update by buffer", "θ_t ← θ_{t-1} - γ b_t", r"\theta_t \leftarrow \theta_{t-1} - \gamma b_t", 2),
    Line("else", "else", r"\textbf{else}", 1),
    Line(
        "update",
        "θ_t ← θ_{t-1} - γ g_t / (√ṽ_t + ε)",
        r"\theta_t \leftarrow \theta_{t-1} - \gamma g_t / \left(\sqrt{\tilde{v_t}} + \epsilon \right)",
        2,
    ),
    Line("return", "return θ_t", r"\textbf{return } \theta_t", 0),
)
"""Every line of the page's pseudocode, in its order."""


def mathml(line: Line) -> str:
    """Write a line as MathML, for browsers to typeset: an element for each item of a list, so that a long one wraps.

    Without latex2mathml, of the extra ``report``, it is the line as plain text.
    """
    if importlib.util.find_spec("latex2mathml") is None:
        return html.escape(line.text)
    from latex2mathml.converter import convert

    return ", ".join(str(convert(part)) for part in line.latex.split(r",\: "))
