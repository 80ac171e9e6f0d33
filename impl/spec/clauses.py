"""The specification, cut into clauses.

A clause is the smallest statement of the page ``torch.optim.RMSprop`` that an implementation can violate on its own.
Its id is stable and never reused: baselines, known deviations and stored programs refer to it.

Source: the documentation page of ``torch.optim.RMSprop`` (pseudocode, parameter list, the notes under it, and the
methods of ``Optimizer`` that it lists). A clause of the kind ``interpretation`` is a reading of something that the page
leaves open; its text says which reading. One of the kind ``differential`` says how two dialects that differ in one
switch are related, whatever the numbers: each subject is compared with its sibling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rmspec.impl.errors import RmspecError, closest, nearest

__all__ = ["CLAUSES", "Clause", "ClauseKind", "UnknownClause", "clause"]

ClauseKind = Literal["pseudocode", "default", "note", "api", "interpretation", "differential"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One statement of the specification.

    ``id`` is stable; ``title`` is what a report prints; ``text`` is the statement in full; ``source`` names the place of
    the page it is read from; ``feature`` is the word for ``--without`` that takes it out of a run, or ``None``.
    A clause with ``gates`` false is observed and reported, and never fails a run: the page promises nothing there.
    """

    id: str
    title: str
    kind: ClauseKind
    text: str
    source: str
    feature: str | None = None
    gates: bool = True


class UnknownClause(RmspecError, KeyError):
    """No clause has the id ``id``; ``closest`` is the one that resembles it most, or ``None``."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no clause {id!r}{nearest(id, CLAUSES)}", hint="rmspec clauses lists them")
        self.args = (id,)
        self.id = id
        self.closest = closest(id, CLAUSES)


def _pseudocode(id: str, title: str, text: str, line: str, feature: str | None = None) -> Clause:
    return Clause(id, title, "pseudocode", text, f"pseudocode, {line}", feature)


def _default(name: str, value: str) -> Clause:
    return Clause(
        f"default-{name.replace('_', '-')}",
        f"{name} is {value} when it is not given",
        "default",
        f"An optimizer that is created without {name} behaves as with {name}={value}.",
        f"parameters, {name}",
        {"momentum": "momentum", "centered": "centered", "weight_decay": "weight_decay"}.get(name),
    )


def _api(id: str, title: str, text: str, source: str, feature: str | None = None) -> Clause:
    return Clause(id, title, "api", text, source, feature)


def _reading(id: str, title: str, text: str, source: str, feature: str | None = None, *, gates: bool = True) -> Clause:
    return Clause(id, title, "interpretation", text, source, feature, gates)


def _differential(id: str, title: str, text: str, feature: str | None = None) -> Clause:
    source = (
        "note: TensorFlow interchanges these two operations; the algebra is in rmspec.properties.judge.differential"
    )
    return Clause(id, title, "differential", text, source, feature)


_ALL = (
    # --- the pseudocode, line by line
    _pseudocode(
        "init-params",
        "creating the optimizer leaves the parameters alone",
        "theta_0 is the input: creating an optimizer changes neither a parameter nor a gradient.",
        "input",
    ),
    _pseudocode(
        "init-square-avg",
        "v_0 = 0",
        "The square average starts at 0 for every parameter, whenever it joins the optimizer.",
        "initialize",
    ),
    _pseudocode(
        "init-momentum-buffer",
        "b_0 = 0",
        "The momentum buffer starts at 0 for every parameter.",
        "initialize",
        "momentum",
    ),
    _pseudocode(
        "init-grad-avg",
        "g_ave_0 = 0",
        "The gradient average starts at 0 for every parameter.",
        "initialize",
        "centered",
    ),
    _pseudocode(
        "descent",
        "the step goes against the gradient",
        "g_t is the gradient of the objective at theta_{t-1}, and the update is subtracted.",
        "g_t <- grad f_t(theta_{t-1})",
    ),
    _pseudocode(
        "weight-decay",
        "weight decay adds lambda * theta to the gradient",
        "If lambda is not 0, g_t <- g_t + lambda * theta_{t-1}, before any average is formed (L2, not decoupled).",
        "if lambda != 0: g_t <- g_t + lambda theta_{t-1}",
        "weight_decay",
    ),
    _pseudocode(
        "square-avg",
        "v_t = alpha v_{t-1} + (1 - alpha) g_t^2",
        "The square average is the weighted mean of its last value and the squared gradient.",
        "v_t <- alpha v_{t-1} + (1 - alpha) g_t^2",
    ),
    _pseudocode(
        "grad-avg",
        "g_ave_t = alpha g_ave_{t-1} + (1 - alpha) g_t",
        "If centered, the gradient average is the weighted mean of its last value and the gradient.",
        "g_ave_t <- g_ave_{t-1} alpha + (1 - alpha) g_t",
        "centered",
    ),
    _pseudocode(
        "centered-variance",
        "centered: the variance is v_t - g_ave_t^2",
        "If centered, the square of the new gradient average is subtracted from the new square average before the root.",
        "v~_t <- v~_t - (g_ave_t)^2",
        "centered",
    ),
    _pseudocode(
        "momentum-buffer",
        "b_t = mu b_{t-1} + g_t / (sqrt(v~_t) + eps)",
        "If mu > 0, the buffer is decayed by mu and the normalized gradient is added with weight 1.",
        "if mu > 0: b_t <- mu b_{t-1} + g_t / (sqrt(v~_t) + eps)",
        "momentum",
    ),
    _pseudocode(
        "momentum-lr",
        "the learning rate multiplies the buffer, outside it",
        "The buffer accumulates normalized gradients without the learning rate; lr is applied when the buffer is used.",
        "b_t <- mu b_{t-1} + g_t / (...); theta_t <- theta_{t-1} - gamma b_t",
        "momentum",
    ),
    _pseudocode(
        "momentum-update",
        "theta_t = theta_{t-1} - gamma b_t",
        "If mu > 0, the parameter moves by the learning rate times the new buffer.",
        "if mu > 0: theta_t <- theta_{t-1} - gamma b_t",
        "momentum",
    ),
    _pseudocode(
        "update",
        "theta_t = theta_{t-1} - gamma g_t / (sqrt(v~_t) + eps)",
        "Without momentum, the parameter moves by the learning rate times the normalized gradient.",
        "else: theta_t <- theta_{t-1} - gamma g_t / (sqrt(v~_t) + eps)",
    ),
    # --- the notes under the pseudocode
    Clause(
        "eps-placement",
        "eps is added outside the square root",
        "note",
        "The square root is taken before eps is added: the denominator is sqrt(v) + eps, not sqrt(v + eps).",
        "note: takes the square root of the gradient average before adding epsilon",
    ),
    Clause(
        "scheduled-lr",
        "a changed learning rate holds from the next step",
        "note",
        "gamma is the scheduled learning rate: a step uses the lr that its group holds at that moment.",
        "note: gamma is the scheduled learning rate",
        "schedule",
    ),
    # --- defaults
    _default("lr", "1e-2"),
    _default("alpha", "0.99"),
    _default("eps", "1e-8"),
    _default("weight_decay", "0"),
    _default("momentum", "0"),
    _default("centered", "False"),
    # --- the API
    _api(
        "params",
        "params is any iterable of parameters or of group dicts",
        "The constructor takes a list, a generator, or dicts that define groups, and optimizes every parameter named.",
        "parameters, params",
    ),
    _api(
        "step",
        "step() performs one step of every parameter with a gradient",
        "A call of step performs exactly one iteration for every parameter that has a gradient, and raises nothing.",
        "step",
    ),
    _api(
        "closure",
        "step(closure) evaluates the closure once and returns its loss",
        "The closure is called once, with gradients enabled, before the update that uses its gradients; its loss is returned.",
        "step, closure",
        "closure",
    ),
    _api(
        "closure-failure",
        "a closure that raises leaves everything as it was",
        "An exception of the closure reaches the caller, and no parameter and no state has changed.",
        "step, closure",
        "closure",
    ),
    _api(
        "grad-none",
        "a parameter whose gradient is None is skipped",
        "With a gradient of None the step is skipped altogether: the parameter and its state stay as they are.",
        "zero_grad, set_to_none, 3",
    ),
    _api(
        "grad-zero",
        "a gradient of 0 takes the step",
        "With a gradient of 0 the step is done: averages decay and momentum moves the parameter.",
        "zero_grad, set_to_none, 3",
    ),
    _api(
        "zero-grad-none",
        "zero_grad() sets the gradients to None",
        "zero_grad(set_to_none=True), the default, leaves every gradient None; parameters and state stay.",
        "zero_grad, set_to_none",
        "zero_grad",
    ),
    _api(
        "zero-grad-zero",
        "zero_grad(set_to_none=False) fills the gradients with 0",
        "Every gradient there is becomes a tensor of zeros, one that is None stays None; parameters and state stay.",
        "zero_grad",
        "zero_grad",
    ),
    _api(
        "add-param-group",
        "add_param_group adds the parameters with their options",
        "After the call the new group is optimized with its own options; the other groups and all state stay.",
        "add_param_group",
        "groups",
    ),
    _api(
        "group-options",
        "a group's own options hold for that group alone",
        "Options named in a group dict win over the constructor's for that group, and for no other group.",
        "params; add_param_group, param_group",
        "groups",
    ),
    _api(
        "group-defaults",
        "a group without an option takes the constructor's",
        "An option that a group dict does not name has the value given to the constructor.",
        "params; add_param_group, param_group",
        "groups",
    ),
    _api(
        "state-dict",
        "state_dict() holds the state and the groups and changes nothing",
        "It returns a dict with the entries state and param_groups; taking it changes nothing.",
        "state_dict",
        "state_dict",
    ),
    _api(
        "load-state-dict",
        "load_state_dict() restores the state that was saved",
        "After loading, the state of every parameter is what was saved, and the parameters themselves stay.",
        "load_state_dict",
        "state_dict",
    ),
    _api(
        "load-options",
        "load_state_dict() restores the options of the groups",
        "param_groups is part of the state: after loading, every group has the options that were saved.",
        "state_dict, param_groups; load_state_dict",
        "state_dict",
    ),
    _api(
        "load-mismatch",
        "a checkpoint of other groups is refused",
        "A state with another number of groups, or of parameters in a group, raises and changes nothing.",
        "load_state_dict: should be an object returned from a call to state_dict()",
        "state_dict",
    ),
    # --- what must stay: the frame
    _api(
        "grad-untouched",
        "step leaves the gradients as they are",
        "A step reads the gradients and changes none of them, bit for bit.",
        "step",
    ),
    _api(
        "frame",
        "a call changes nothing but what it is for",
        "Parameters, state and options that a call is not about are bit-identical after it, and before the next call.",
        "step, state_dict, add_param_group",
    ),
    _api(
        "isolation",
        "two optimizers share nothing",
        "A call on one optimizer changes neither the state nor the groups nor the parameters of another.",
        "state_dict, load_state_dict",
    ),
    # --- interpretations: what the page leaves open
    _reading(
        "load-isolation",
        "load_state_dict() shares nothing with where the state came from",
        "After loading from another optimizer's state_dict, a step of either changes nothing of the other.",
        "silent; read as: two optimizers are two optimizers",
        "state_dict",
    ),
    _reading(
        "state-dict-snapshot",
        "what state_dict() returned stays as it was",
        "A later step does not change a state dict that was taken earlier.",
        "silent; read as: the state at the time of the call",
        "state_dict",
    ),
    _reading(
        "load-shape",
        "a checkpoint of other shapes is refused when it is loaded",
        "A state whose tensors do not have their parameter's shape raises in load_state_dict, and changes nothing.",
        "silent; read as: should be an object returned from a call to state_dict()",
        "state_dict",
    ),
    _reading(
        "load-partial",
        "a parameter without saved state starts anew",
        "Where the saved state has no entry for a parameter, its averages start at their initial values.",
        "silent; read as: initialize",
        "state_dict",
    ),
    _reading(
        "option-change",
        "an option changed in a group holds from the next step",
        "alpha, eps, weight_decay, momentum and centered are read at each step; state that a branch has not used is still initial.",
        "silent; read as for lr",
        "schedule",
    ),
    _reading(
        "scalar-precision",
        "hyperparameters are real numbers, not numbers of the tensor's format",
        "lr, alpha, eps, lambda, mu and 1 - alpha are rounded no further than to float32 (float64 for float64), "
        "and 1 - alpha is formed before it is rounded.",
        "silent; read as: the page's symbols are real numbers",
    ),
    _reading(
        "subnormals",
        "subnormal numbers are numbers",
        "Numbers below the smallest normal one of the tensor's format are calculated with, not replaced by 0.",
        "silent; read as: the page's symbols are real numbers",
    ),
    _reading(
        "elementwise",
        "every element is updated, by its own values alone",
        "The result for an element does not depend on the size, the shape or the position, nor on other elements.",
        "silent; read as: the pseudocode is elementwise",
    ),
    _reading(
        "layout",
        "strides of parameter and gradient do not matter",
        "Transposed, strided or expanded tensors give the results of contiguous ones.",
        "silent; read as: the pseudocode knows values only",
        "layout",
    ),
    _reading(
        "complex-pairs",
        "a complex number is a pair of reals",
        "A complex parameter is optimized as its real and imaginary parts, each by itself.",
        "silent; read as: view_as_real",
        "complex",
    ),
    _reading(
        "duplicate-across-groups",
        "a parameter in two groups is refused",
        "add_param_group, or the constructor, raises when a parameter is already in another group, and changes nothing.",
        "silent; read as: which options would hold is undefined",
        "duplicates",
    ),
    _reading(
        "duplicate-in-group",
        "a parameter listed twice in a group is stepped once, or refused",
        "A duplicate inside one group is refused or has no effect.",
        "silent; read as: one step is one iteration",
        "duplicates",
    ),
    _reading(
        "sparse-rows",
        "a row-sparse gradient steps the rows that it names",
        "Rows that a row-sparse gradient does not name keep their values and their state (in a dialect whose sparse form is "
        "dense they are stepped with a gradient of 0); the rows that it names take the step, with the sum where one is named twice.",
        "silent on this page; the sparse operations of TensorFlow",
        "sparse",
    ),
    _reading(
        "maximize",
        "maximize goes with the gradient",
        "With maximize=True the gradient is negated before anything else, weight decay included.",
        "silent on this page; read as: g_t <- -grad f_t",
        "maximize",
    ),
    _reading(
        "hooks",
        "step hooks run once around each step",
        "A registered pre-hook and post-hook of step are each called once for one call of step.",
        "silent on this page; the Optimizer base class",
        "hooks",
    ),
    # --- how two dialects that differ in one switch are related
    _differential(
        "order-without-eps",
        "with eps = 0 the place of eps cannot be seen",
        "Where eps is 0 and v above 0, sqrt(v) + eps and sqrt(v + eps) are one number: a step lies in the envelope of the "
        "other order as well.",
    ),
    _differential(
        "order-within-bound",
        "the two denominators differ by at least eps - sqrt(eps) and less than eps",
        "For every v and eps the difference (sqrt(v) + eps) - sqrt(v + eps) lies from eps - sqrt(eps), at v = 0, up to eps.",
    ),
    _differential(
        "lr-place-unseen",
        "while lr is constant its place cannot be seen",
        "Inside the momentum buffer or outside it, a constant learning rate gives the same parameters.",
        "momentum",
    ),
    _differential(
        "lr-place-seen",
        "a learning rate that changes shows its place",
        "After lr has changed, a buffer that holds it moves the parameter by other amounts than one that does not.",
        "momentum",
    ),
    _differential(
        "first-average",
        "two initial averages part by alpha times their difference",
        "Optimizers that start their square average at v_0 and at v_0' have averages that differ by alpha (v_0 - v_0') after "
        "the first step.",
    ),
    # --- observed, never failing: the page promises nothing
    _reading(
        "refuse-invalid",
        "a hyperparameter outside its domain is refused",
        "A negative lr, alpha, eps, momentum or weight_decay, or a NaN, raises at every door.",
        "silent; every oracle's behaviour is shown",
        gates=False,
    ),
    _reading(
        "caller-dict",
        "the caller's group dict is not kept or changed",
        "add_param_group leaves the dict that it is given as it is.",
        "silent; every oracle's behaviour is shown",
        "groups",
        gates=False,
    ),
    _reading(
        "failed-step",
        "a step that raises has changed nothing",
        "When one gradient is of a kind that is refused, no parameter has been stepped.",
        "silent; every oracle's behaviour is shown",
        gates=False,
    ),
)

CLAUSES: Mapping[str, Clause] = MappingProxyType({each.id: each for each in _ALL})
"""Every clause by its id, in the order of the page."""


def clause(id: str) -> Clause:
    """The clause with this id.

    Raises ``UnknownClause`` for an id that there is not.
    """
    found = CLAUSES.get(id)
    if found is None:
        raise UnknownClause(id)
    return found
