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

__all__ = [
    "CLAUSES",
    "CLAUSE_OF_DEFAULT",
    "CLAUSE_OF_ROLE",
    "CLAUSE_OF_START",
    "UNNAMED",
    "Clause",
    "ClauseKind",
    "PageLine",
    "Quantity",
    "UnknownClause",
    "clause",
    "option_clause",
]

ClauseKind = Literal["pseudocode", "default", "note", "api", "interpretation", "differential"]


PageLine = Literal[
    "input",
    "initialize",
    "loop",
    "gradient",
    "if decay",
    "decay",
    "square average",
    "variance",
    "if centered",
    "gradient average",
    "centered variance",
    "if momentum",
    "buffer",
    "update by buffer",
    "else",
    "update",
    "return",
]
"""The lines of the page's pseudocode, in its order."""

Quantity = Literal["v", "b", "theta with b", "theta"]
"""A quantity that a line of the pseudocode assigns: ``theta with b`` is theta_t in the branch with momentum."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One statement of the specification: a row of everything known about it.

    ``id`` is stable; ``title`` is what a report prints; ``text`` is the statement in full; ``source`` names the place of
    the page that states it; ``feature`` is the word for ``--without`` that takes it out of a run, or ``None``.
    A clause with ``gates`` false is observed and reported, and never fails a run: the page promises nothing there.

    What it states: ``lines`` are the lines of the pseudocode where it stands; ``formula`` is the quantity whose formula the
    title is; ``computes`` is the role of the state that it says how to compute, ``starts`` the role whose initial value it
    states, ``option`` the option whose default it states. ``option_sources``: where a group's options come from when the
    clause says which value they have (a source of ``properties.judge.ledger``).

    What a check of it needs: ``needs_role`` is the role of the state that the subject must show (``any``: some role;
    ``groups``: its groups);
    ``switch`` a switch of the dialect that must be on, ``absent`` what is said of a dialect in which it is off.
    Every check of ``counted_by``, another clause, counts for a stored program about this one.

    How a violation is told: ``usual`` is the usual one, by which passing checks are judged telling: an amendment as TOML spells it
    (``other``: the switch in another position; ``rounded to storage``: too early), or a ``start`` at another value, the
    ``element`` left where it was, a ``gradient`` of another element, ``numbers`` flushed to 0, ``options`` with other values.
    Without one the clause compares with one value, and every pass tells. ``absorbed_by`` is the role of the state that hides it
    while lr stays the same, where the role cannot be seen. ``changes``: it is about options changed since the
    step before (``lr``, or ``options``: the others); ``where``: the circumstance without which no check is one of it.
    ``shows_in``: the circumstance of the later steps where its violation shows, if the call itself does not show it.

    How a violation reads: ``refusal`` is what a script prints for the exception that the clause demands; ``expects`` is what
    must be there after the call (``none``: no gradient; ``initial``: the initial value), and ``compares`` what a script
    compares before and after it (``element``: one element). ``circumstance`` ends
    the summary of a change that the call must not make, ``cause`` that of a value out of its bounds. ``decided`` says that
    the judge names the clause for good: no search for a cause renames the finding. ``lives``: in what was saved, the state
    then moves on. ``mend`` is what usually mends one.
    ``younger``: reports of 0.1.0 do not have it. ``unexercised`` says why no program exercised it, where that is known.
    """

    id: str
    title: str
    kind: ClauseKind
    text: str
    source: str
    feature: str | None = None
    gates: bool = True
    lines: tuple[PageLine, ...] = ()
    formula: Quantity | None = None
    computes: str = ""
    starts: str = ""
    option: str = ""
    option_sources: tuple[str, ...] = ()
    usual: tuple[tuple[str, str | float | bool], ...] = ()
    absorbed_by: str = ""
    changes: Literal["", "lr", "options"] = ""
    where: Literal["", "elements", "layout", "pairs"] = ""
    shows_in: Literal["", "closure", "loaded", "optimizers", "skipped"] = ""
    needs_role: str = ""
    switch: str = ""
    absent: str = ""
    counted_by: str = ""
    refusal: str = ""
    expects: Literal["", "none", "initial"] = ""
    compares: Literal["", "element"] = ""
    circumstance: str = "in a call that is not for it"
    cause: str = ""
    decided: bool = False
    lives: bool = False
    younger: bool = False
    unexercised: str = ""
    mend: str = ""

    @property
    def lines_alone(self) -> bool:
        """Whether envelopes alone check it: it states how a line is computed."""
        return bool(self.computes or self.formula)


class UnknownClause(RmspecError, KeyError):
    """No clause has the id ``id``; ``closest`` is the most similar one, or ``None``."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no clause {id!r}{nearest(id, CLAUSES)}", hint="rmspec clauses lists them")
        self.args = (id,)
        self.id = id
        self.closest = closest(id, CLAUSES)


_REFUSAL = "refused, as it should be"


def _default(name: str, value: str, usual: str, feature: str | None = None) -> Clause:
    return Clause(
        f"default-{name.replace('_', '-')}",
        f"{name} is {value} when it is not given",
        "default",
        f"An optimizer that is created without {name} behaves as with {name}={value}.",
        f"parameters, {name}",
        feature,
        lines=("input",),
        option=name,
        usual=((name, usual),),
        mend=f"Make {value} the default of {name} in the constructor, and write it in no second place.",
    )


_RELATION = "note: TensorFlow interchanges these two operations; the algebra is in rmspec.properties.judge.differential"


_ALL = (
    # --- the pseudocode, line by line
    Clause(
        "init-params",
        "creating the optimizer leaves the parameters alone",
        "pseudocode",
        "theta_0 is the input: creating an optimizer changes neither a parameter nor a gradient.",
        "pseudocode, input",
        lines=("input",),
        mend="Do not write to a parameter or a gradient in the constructor; make state in tensors of its own.",
    ),
    Clause(
        "init-square-avg",
        "v_0 = 0",
        "pseudocode",
        "The square average starts at 0 for every parameter, whenever it joins the optimizer.",
        "pseudocode, initialize",
        lines=("initialize",),
        starts="square_avg",
        counted_by="init-params",
        usual=(("start", 1.0),),
        mend="Make the square average with zeros_like at the first step of each parameter, also of one that joins later.",
    ),
    Clause(
        "init-momentum-buffer",
        "b_0 = 0",
        "pseudocode",
        "The momentum buffer starts at 0 for every parameter.",
        "pseudocode, initialize",
        "momentum",
        lines=("initialize",),
        starts="momentum_buffer",
        counted_by="init-params",
        usual=(("start", 1.0),),
        mend="Make the buffer with zeros_like; a buffer that starts as the first update counts that update twice or not at all.",
    ),
    Clause(
        "init-grad-avg",
        "g_ave_0 = 0",
        "pseudocode",
        "The gradient average starts at 0 for every parameter.",
        "pseudocode, initialize",
        "centered",
        lines=("initialize",),
        starts="grad_avg",
        counted_by="init-params",
        usual=(("start", 1.0),),
        mend="Make the gradient average with zeros_like, not as a copy of the first gradient.",
    ),
    Clause(
        "descent",
        "the step goes against the gradient",
        "pseudocode",
        "g_t is the gradient of the objective at theta_{t-1}, and the update is subtracted.",
        "pseudocode, g_t <- grad f_t(theta_{t-1})",
        lines=("gradient",),
        usual=(("maximize", "other"),),
        mend="Subtract the update: theta - lr * g / (sqrt(v) + eps). Look for a sign that is turned twice.",
    ),
    Clause(
        "weight-decay",
        "weight decay adds lambda * theta to the gradient",
        "pseudocode",
        "If lambda is not 0, g_t <- g_t + lambda * theta_{t-1}, before any average is formed (L2, not decoupled).",
        "pseudocode, if lambda != 0: g_t <- g_t + lambda theta_{t-1}",
        "weight_decay",
        lines=("if decay", "decay"),
        usual=(("decay", "none"),),
        mend="Add weight_decay * theta to the gradient first of all, and leave the parameter itself alone (that is AdamW's form).",
    ),
    Clause(
        "square-avg",
        "v_t = alpha v_{t-1} + (1 - alpha) g_t^2",
        "pseudocode",
        "The square average is the weighted mean of its last value and the squared gradient.",
        "pseudocode, v_t <- alpha v_{t-1} + (1 - alpha) g_t^2",
        lines=("square average", "variance"),
        formula="v",
        computes="square_avg",
        needs_role="square_avg",
        usual=(("alpha", "times 0.5"),),
        mend="Write v = alpha * v + (1 - alpha) * g * g, with the gradient after weight decay, and store the result.",
    ),
    Clause(
        "grad-avg",
        "g_ave_t = alpha g_ave_{t-1} + (1 - alpha) g_t",
        "pseudocode",
        "If centered, the gradient average is the weighted mean of its last value and the gradient.",
        "pseudocode, g_ave_t <- g_ave_{t-1} alpha + (1 - alpha) g_t",
        "centered",
        lines=("gradient average",),
        computes="grad_avg",
        needs_role="grad_avg",
        usual=(("alpha", "times 0.5"),),
        mend="Write g_ave = alpha * g_ave + (1 - alpha) * g, with the alpha of v and the gradient after weight decay.",
    ),
    Clause(
        "centered-variance",
        "centered: the variance is v_t - g_ave_t^2",
        "pseudocode",
        "If centered, the square of the new gradient average is subtracted from the new square average before the root.",
        "pseudocode, v~_t <- v~_t - (g_ave_t)^2",
        "centered",
        lines=("if centered", "centered variance"),
        usual=(("centered_form", "never"),),
        mend="Subtract the square of the new g_ave from the new v, into a temporary: v itself must not change.",
    ),
    Clause(
        "momentum-buffer",
        "b_t = mu b_{t-1} + g_t / (sqrt(v~_t) + eps)",
        "pseudocode",
        "If mu > 0, the buffer is decayed by mu and the normalized gradient is added with weight 1.",
        "pseudocode, if mu > 0: b_t <- mu b_{t-1} + g_t / (sqrt(v~_t) + eps)",
        "momentum",
        lines=("if momentum", "buffer"),
        formula="b",
        computes="momentum_buffer",
        needs_role="momentum_buffer",
        usual=(("momentum", "times 0.5"),),
        mend="Write b = momentum * b + g / (sqrt(v) + eps): no dampening, no factor 1 - momentum, no learning rate.",
    ),
    Clause(
        "momentum-lr",
        "the learning rate multiplies the buffer, outside it",
        "pseudocode",
        "The buffer accumulates normalized gradients without the learning rate; lr is applied when the buffer is used.",
        "pseudocode, b_t <- mu b_{t-1} + g_t / (...); theta_t <- theta_{t-1} - gamma b_t",
        "momentum",
        lines=("update by buffer",),
        usual=(("lr_place", "other"),),
        absorbed_by="momentum_buffer",
        mend="Take lr out of the buffer, and apply it with the buffer: theta - lr * b. A constant lr hides the mistake.",
    ),
    Clause(
        "momentum-update",
        "theta_t = theta_{t-1} - gamma b_t",
        "pseudocode",
        "If mu > 0, the parameter moves by the learning rate times the new buffer.",
        "pseudocode, if mu > 0: theta_t <- theta_{t-1} - gamma b_t",
        "momentum",
        lines=("update by buffer", "return"),
        formula="theta with b",
        usual=(("lr", "times 2"),),
        mend="Subtract lr times the new buffer, not the old one, and not momentum times it once more (that is Nesterov's form).",
    ),
    Clause(
        "update",
        "theta_t = theta_{t-1} - gamma g_t / (sqrt(v~_t) + eps)",
        "pseudocode",
        "Without momentum, the parameter moves by the learning rate times the normalized gradient.",
        "pseudocode, else: theta_t <- theta_{t-1} - gamma g_t / (sqrt(v~_t) + eps)",
        lines=("else", "update", "return"),
        formula="theta",
        usual=(("lr", "times 2"),),
        mend="Without momentum subtract lr * g / (sqrt(v) + eps), with the new v; check that lr is applied once.",
    ),
    # --- the notes under the pseudocode
    Clause(
        "eps-placement",
        "eps is added outside the square root",
        "note",
        "The square root is taken before eps is added: the denominator is sqrt(v) + eps, not sqrt(v + eps).",
        "note: takes the square root of the gradient average before adding epsilon",
        lines=("buffer", "update"),
        usual=(("eps_place", "other"),),
        mend="Take the root first, then add eps: sqrt(v) + eps.",
    ),
    Clause(
        "scheduled-lr",
        "a changed learning rate holds from the next step",
        "note",
        "gamma is the scheduled learning rate: a step uses the lr that its group holds at that moment.",
        "note: gamma is the scheduled learning rate",
        "schedule",
        lines=("update by buffer", "update"),
        usual=(("options", "other"),),
        changes="lr",
        mend="Read lr from the group at each step; do not copy it in the constructor or compile it into a kernel.",
    ),
    # --- defaults
    _default("lr", "1e-2", "times 2"),
    _default("alpha", "0.99", "times 0.5"),
    _default("eps", "1e-8", "times 100"),
    _default("weight_decay", "0", "is 0.5", "weight_decay"),
    _default("momentum", "0", "is 0.5", "momentum"),
    _default("centered", "False", "is True", "centered"),
    # --- the API
    Clause(
        "params",
        "params is any iterable of parameters or of group dicts",
        "api",
        "The constructor takes a list, a generator, or dicts that define groups, and optimizes every parameter named.",
        "parameters, params",
        lines=("input",),
        mend="Hand params to the base class as they come; turn a generator into a list before it is read twice.",
    ),
    Clause(
        "step",
        "step() performs one step of every parameter with a gradient",
        "api",
        "A call of step performs exactly one iteration for every parameter that has a gradient, and raises nothing.",
        "step",
        lines=("loop",),
        usual=(("element", "left"),),
        mend="Step every parameter with a gradient exactly once, and raise nothing; look at early returns in the loop.",
    ),
    Clause(
        "closure",
        "step(closure) reevaluates the model before it updates",
        "api",
        "The closure is called, and the update is one by the gradients that it leaves.",
        "step, closure",
        "closure",
        lines=("gradient",),
        shows_in="closure",
        mend="Call the closure before the gradients are read.",
    ),
    Clause(
        "closure-call",
        "step(closure) calls the closure once, with gradients, and returns its loss",
        "interpretation",
        "The closure is called exactly once, with gradients enabled whatever the caller's mode is, and step returns the loss that "
        "it returns.",
        "silent; read as for step, closure: one step evaluates the model once, and the loss is for the caller",
        "closure",
        lines=("gradient",),
        mend="Call the closure once, under enable_grad, and return its loss.",
        younger=True,
    ),
    Clause(
        "closure-failure",
        "a closure that raises leaves everything as it was",
        "interpretation",
        "An exception of the closure reaches the caller, and no parameter and no state has changed.",
        "silent; read as: a step without gradients is none",
        "closure",
        mend="Call the closure before anything is changed, and let its exception pass.",
    ),
    Clause(
        "grad-none",
        "a parameter whose gradient is None is skipped",
        "api",
        "With a gradient of None the step is skipped altogether: the parameter and its state stay as they are.",
        "zero_grad, set_to_none, 3",
        lines=("gradient",),
        circumstance="in step, although its gradient is None",
        shows_in="skipped",
        mend="Skip a parameter whose gradient is None before its state is made or decayed.",
    ),
    Clause(
        "grad-zero",
        "a gradient of 0 takes the step",
        "api",
        "With a gradient of 0 the step is done: averages decay and momentum moves the parameter.",
        "zero_grad, set_to_none, 3",
        lines=("gradient",),
        usual=(("element", "left"),),
        mend="Test for None, not for truth or a norm: a gradient of 0 still decays the averages.",
    ),
    Clause(
        "zero-grad-none",
        "zero_grad() sets the gradients to None",
        "api",
        "zero_grad(set_to_none=True), the default, leaves every gradient None; parameters and state stay, and so does a gradient "
        "tensor that somebody else holds.",
        "zero_grad, set_to_none",
        "zero_grad",
        expects="none",
        mend="Let zero_grad set p.grad = None by default, and do not write to the tensor that was there.",
    ),
    Clause(
        "zero-grad-zero",
        "zero_grad(set_to_none=False) fills the gradients with 0",
        "api",
        "Every gradient there is becomes a tensor of zeros, one that is None stays None; parameters and state stay.",
        "zero_grad",
        "zero_grad",
        mend="With set_to_none=False fill the gradients with 0 in place, and leave those that are None.",
    ),
    Clause(
        "add-param-group",
        "add_param_group adds the parameters with their options",
        "api",
        "After the call the new group is optimized with its own options; the other groups and all state stay.",
        "add_param_group",
        "groups",
        mend="Fill in the defaults for options that the new group lacks, and do not touch the state of the other groups.",
    ),
    Clause(
        "group-options",
        "a group's own options hold for that group alone",
        "api",
        "Options named in a group dict win over the constructor's for that group, and for no other group.",
        "params; add_param_group, param_group",
        "groups",
        option_sources=("group", "changed"),
        usual=(("options", "other"),),
        mend="Read every option from the group of the parameter, not from self.defaults or the first group.",
    ),
    Clause(
        "group-defaults",
        "a group without an option takes the constructor's",
        "api",
        "An option that a group dict does not name has the value given to the constructor.",
        "params; add_param_group, param_group",
        "groups",
        option_sources=("constructor",),
        usual=(("options", "other"),),
        mend="Fill an option that a group lacks from the constructor's arguments, not from the signature's defaults.",
    ),
    Clause(
        "state-dict",
        "state_dict() holds the state and the groups and changes nothing",
        "api",
        "It returns a dict with the entries state and param_groups; taking it changes nothing.",
        "state_dict",
        "state_dict",
        mend="Return state and param_groups from state_dict, and change nothing in it.",
    ),
    Clause(
        "load-state-dict",
        "load_state_dict() restores the state that was saved",
        "api",
        "After loading, the state of every parameter is what was saved, and the parameters themselves stay.",
        "load_state_dict",
        "state_dict",
        shows_in="loaded",
        mend="Put the saved tensors into the state of the parameters at the same positions, and leave the parameters alone.",
    ),
    Clause(
        "load-options",
        "load_state_dict() restores the options of the groups",
        "api",
        "param_groups is part of the state: after loading, every group has the options that were saved.",
        "state_dict, param_groups; load_state_dict",
        "state_dict",
        option_sources=("loaded",),
        usual=(("options", "other"),),
        mend="Take the options of every group from the saved param_groups, also those that the constructor was given otherwise.",
    ),
    Clause(
        "load-mismatch",
        "a checkpoint of other groups is refused",
        "interpretation",
        "A state with another number of groups, or of parameters in a group, raises and changes nothing.",
        "silent; read as: should be an object returned from a call to state_dict()",
        "state_dict",
        refusal=_REFUSAL,
        mend="Compare the number of groups and of parameters in each before anything is loaded, and raise ValueError.",
    ),
    # --- what must stay: the frame
    Clause(
        "grad-untouched",
        "step leaves the gradients as they are",
        "interpretation",
        "A step reads the gradients and changes none of them, bit for bit.",
        "silent; read as: the pseudocode assigns to g_t, not to the gradient of the function",
        lines=("gradient",),
        mend="Work on a copy of the gradient: g = g.add(...) and not g.add_(...).",
    ),
    Clause(
        "lr-untouched",
        "step leaves the learning rate as it is",
        "interpretation",
        "A step reads lr from its group and writes nothing there, also where lr is a tensor that the caller holds.",
        "silent; read as: gamma is the scheduled learning rate, and a step schedules nothing",
        "schedule",
        lines=("loop",),
        needs_role="groups",
        mend="Work on a copy of lr: lr = group['lr'] * factor, and neither group['lr'] = ... nor an operation in place on it.",
        younger=True,
    ),
    Clause(
        "frame",
        "a call changes nothing but what it is for",
        "interpretation",
        "Parameters, state and options that a call is not about are bit-identical after it, and before the next call; the caller's "
        "gradient mode is what it was.",
        "silent; read as: what the page does not assign stays",
        lines=("loop",),
        mend="Look for an operation in place on a tensor that is also kept elsewhere, or for a loop that writes too much.",
    ),
    Clause(
        "isolation",
        "two optimizers share nothing",
        "interpretation",
        "A call on one optimizer changes neither the state nor the groups nor the parameters of another.",
        "silent; read as: two optimizers are two optimizers",
        circumstance="in a call on another one",
        shows_in="optimizers",
        mend="Keep state and options on the instance: no module global, no mutable default argument, no attribute of the class.",
    ),
    # --- interpretations: what the page leaves open
    Clause(
        "load-isolation",
        "load_state_dict() shares nothing with where the state came from",
        "interpretation",
        "After loading, a step changes neither the state dict that was loaded nor the optimizer that it is from, and a step of that "
        "one nothing of the optimizer that loaded it.",
        "silent; read as: two optimizers are two optimizers",
        "state_dict",
        circumstance="in a call on the one that it shares a loaded state with",
        mend="Copy the tensors of the saved state when it is loaded.",
    ),
    Clause(
        "state-dict-snapshot",
        "what state_dict() returned stays as it was",
        "interpretation",
        "A later step does not change a state dict that was taken earlier.",
        "silent; read as: the state at the time of the call",
        "state_dict",
        needs_role="any",
        lives=True,
        mend="Return copies of the state's tensors from state_dict, not the tensors themselves.",
    ),
    Clause(
        "state-dict-copy",
        "what state_dict() returned can be copied and written",
        "interpretation",
        "copy.deepcopy, pickle and the framework's own file format take what state_dict() returned.",
        "silent; read as: a state dict is there to be saved",
        "state_dict",
        mend="Detach the tensors of the state from their history, and keep nothing in it that cannot be pickled.",
        younger=True,
    ),
    Clause(
        "load-shape",
        "a checkpoint of other shapes is refused when it is loaded",
        "interpretation",
        "A state whose tensors do not have their parameter's shape raises in load_state_dict, and changes nothing.",
        "silent; read as: should be an object returned from a call to state_dict()",
        "state_dict",
        refusal=_REFUSAL,
        needs_role="any",
        mend="Compare the shape of each saved tensor with its parameter in load_state_dict, and raise ValueError.",
    ),
    Clause(
        "load-partial",
        "a parameter without saved state starts anew",
        "interpretation",
        "Where the saved state has no entry for a parameter, its averages start at their initial values.",
        "silent; read as: initialize",
        "state_dict",
        expects="initial",
        mend="Make initial state for a parameter without a saved entry, at the latest at its next step.",
    ),
    Clause(
        "load-version",
        "a checkpoint of another version loads, or is refused whole",
        "interpretation",
        "A saved state without options beyond the page's six, or with an unknown one, or without state of branches that are off "
        "(of an optimizer that makes none for these) loads and steps on. One without a counter of steps, or with an unknown entry, "
        "does so as well, or it is refused. Where load_state_dict raises, everything is as it was.",
        "silent; read as: what the page does not name need not be there",
        "state_dict",
        mend="Read options and entries that the page does not name with a default, and check a state before the first of it is taken.",
        younger=True,
    ),
    Clause(
        "load-device",
        "a checkpoint of another device is moved to its parameters, or refused",
        "interpretation",
        "State that was saved on another device than the parameters are on is moved to theirs by load_state_dict, and stepped on. "
        "Where there is one device alone, a stand-in takes the place of the other.",
        "silent on this page; the Optimizer base class",
        "state_dict",
        unexercised="it does not promise to move a state: that is torch.optim.Optimizer's",
        mend="Move each tensor of the saved state to the device of its parameter.",
        younger=True,
    ),
    Clause(
        "optimizer-copy",
        "a copy of the optimizer goes on as it would, and shares nothing with it",
        "interpretation",
        "copy.deepcopy and pickle of the optimizer together with its parameters give one with the same groups and state, which can be "
        "copied in its turn; a step of either changes nothing of the other. That torch.optim.Optimizer leaves other attributes out of "
        "a copy is its own doing.",
        "silent; read as: a training run is copied whole",
        "copy",
        circumstance="in a call on its copy, or on what it is a copy of",
        mend="Keep state in self.state: torch.optim.Optimizer copies and pickles defaults, state and param_groups, and nothing else.",
        younger=True,
    ),
    Clause(
        "step-counter",
        "a counter of steps counts the steps of its parameter",
        "interpretation",
        "Where the state of a parameter shows a number called step, each step of that parameter adds one to it, a step that passes it "
        "over adds none, and a saved state or a copy has it.",
        "silent; read as: for t = 1 to ...",
        unexercised="its state shows no counter of steps",
        mend="Add one to the counter where the parameter is stepped, and nowhere else; save and restore it.",
        younger=True,
    ),
    Clause(
        "option-change",
        "an option changed in a group holds from the next step",
        "interpretation",
        "alpha, eps, weight_decay, momentum and centered are read at each step; state that a branch has not used is still initial.",
        "silent; read as for lr",
        "schedule",
        usual=(("options", "other"),),
        changes="options",
        mend="Read all options at each step, and make state that a branch needs when it is missing, not at the first step alone.",
    ),
    Clause(
        "scalar-precision",
        "hyperparameters are real numbers, not numbers of the tensor's format",
        "interpretation",
        "lr, alpha, eps, lambda, mu and 1 - alpha are rounded no further than to float32 (float64 for float64), "
        "and 1 - alpha is formed before it is rounded.",
        "silent; read as: the page's symbols are real numbers",
        lines=("square average",),
        cause="it fits hyperparameters that were rounded too early",
        usual=(("alpha", "rounded to storage"),),
        mend="Keep hyperparameters as Python numbers, and form 1 - alpha of them before anything is cast to the tensor's format.",
    ),
    Clause(
        "subnormals",
        "subnormal numbers are numbers",
        "interpretation",
        "Numbers below the smallest normal one of the tensor's format are calculated with, not replaced by 0.",
        "silent; read as: the page's symbols are real numbers",
        counted_by="step",
        usual=(("numbers", "flushed"),),
        mend="Do not set flush-to-zero, in the process or in a kernel's compiler flags.",
    ),
    Clause(
        "operation-rounding",
        "elementary operations are rounded as the policy says",
        "interpretation",
        "Sums, products, quotients and roots of a step's path are the nearest numbers of the format, or as near as the policy says.",
        "silent; read as: the page's operations are those of real numbers, rounded once",
        "operations",
        mend="Use a correctly rounded division and root, or choose the policy that the hardware documents.",
        younger=True,
    ),
    Clause(
        "elementwise",
        "every element is updated, by its own values alone",
        "interpretation",
        "The result for an element does not depend on the size, the shape or the position, nor on other elements.",
        "silent; read as: the pseudocode is elementwise",
        lines=("loop",),
        counted_by="step",
        usual=(("element", "left"),),
        where="elements",
        mend="Look at the ends of blocks and vectors in a kernel, at norms, means and broadcasts: no element may see another.",
    ),
    Clause(
        "layout",
        "strides of parameter and gradient do not matter",
        "interpretation",
        "Transposed, strided or expanded tensors give the results of contiguous ones.",
        "silent; read as: the pseudocode knows values only",
        "layout",
        usual=(("gradient", "of a neighbour"),),
        where="layout",
        mend="Index by the strides of each tensor, or make both contiguous and copy the result back.",
    ),
    Clause(
        "complex-pairs",
        "a complex number is a pair of reals",
        "interpretation",
        "A complex parameter is optimized as its real and imaginary parts, each by itself.",
        "silent; read as: view_as_real",
        "complex",
        usual=(("gradient", "magnitude"),),
        where="pairs",
        mend="Work on view_as_real of parameter, gradient and state; |g| squared or a complex square is another formula.",
    ),
    Clause(
        "duplicate-across-groups",
        "a parameter in two groups is refused",
        "interpretation",
        "add_param_group, or the constructor, raises when a parameter is already in another group, and changes nothing.",
        "silent; read as: which options would hold is undefined",
        "duplicates",
        refusal=_REFUSAL,
        mend="Look each new parameter up in the groups there are, and raise ValueError before anything changes.",
    ),
    Clause(
        "duplicate-in-group",
        "a parameter listed twice in a group is stepped once, or refused",
        "interpretation",
        "A duplicate inside one group is refused or has no effect.",
        "silent; read as: one step is one iteration",
        "duplicates",
        decided=True,
        mend="Refuse a parameter that is listed twice, or keep it once.",
    ),
    Clause(
        "sparse-rows",
        "a row-sparse gradient steps the rows that it names",
        "interpretation",
        "Rows that a row-sparse gradient does not name keep their values and their state (in a dialect whose sparse form is "
        "dense they are stepped with a gradient of 0); the rows that it names take the step, with the sum where one is named twice.",
        "silent on this page; the sparse operations of TensorFlow",
        "sparse",
        compares="element",
        mend="Gather the rows that the gradient names, sum those named twice, step these, and scatter them back.",
    ),
    Clause(
        "maximize",
        "maximize goes with the gradient",
        "interpretation",
        "With maximize=True the gradient is negated before anything else, weight decay included.",
        "silent on this page; read as: g_t <- -grad f_t",
        "maximize",
        switch="maximize",
        absent="does not maximize",
        usual=(("maximize", "other"),),
        mend="Negate the gradient first, before weight decay is added.",
    ),
    Clause(
        "hooks",
        "step hooks run once around each step",
        "interpretation",
        "A registered pre-hook and post-hook of step are each called once for one call of step, before and after the update, in the "
        "order of their registration and with the optimizer, whatever else was constructed in the process.",
        "silent on this page; the Optimizer base class",
        "hooks",
        mend="Let step be wrapped once: of a base class call step.__wrapped__ where step.hooked is set, and leave the hooks to torch.",
    ),
    Clause(
        "differentiable-step",
        "a differentiable step has the derivative of the pseudocode",
        "interpretation",
        "With differentiable=True what a step computes can be differentiated with respect to the parameters before it, the gradients, "
        "the state, and lr where it is a tensor, through one step and through several.",
        "silent on this page; torch.optim, differentiable: whether autograd should occur through the optimizer step",
        "derivatives",
        mend="With differentiable=True compute out of place, under enable_grad: no detach, no .data, no float(lr), and nothing in "
        "place on a tensor that a later derivative needs.",
        younger=True,
    ),
    # --- how two dialects that differ in one switch are related
    Clause(
        "order-without-eps",
        "with eps = 0 the place of eps cannot be seen",
        "differential",
        "Where eps is 0 and v above 0, sqrt(v) + eps and sqrt(v + eps) are one number: a step lies in the envelope of the "
        "other order as well.",
        _RELATION,
        mend="Look for an eps that is added although it is 0, or for a constant in its place.",
    ),
    Clause(
        "order-within-bound",
        "the two denominators differ by at least eps - sqrt(eps) and less than eps",
        "differential",
        "For every v and eps the difference (sqrt(v) + eps) - sqrt(v + eps) lies from eps - sqrt(eps), at v = 0, up to eps.",
        _RELATION,
        mend="Look at the denominator: sqrt(v) + eps or sqrt(v + eps), with nothing else in it.",
    ),
    Clause(
        "lr-place-unseen",
        "with a constant lr, its place makes no difference",
        "differential",
        "Inside the momentum buffer or outside it, a constant learning rate gives the same parameters.",
        _RELATION,
        "momentum",
        mend="Look at where lr meets the buffer: it must be applied exactly once.",
    ),
    Clause(
        "lr-place-seen",
        "a learning rate that changes shows its place",
        "differential",
        "After lr has changed, a buffer that holds it moves the parameter by other amounts than one that does not.",
        _RELATION,
        "momentum",
        mend="Read lr at each step, and apply it where the dialect does: inside the buffer, or when the buffer is used.",
    ),
    Clause(
        "first-average",
        "two initial averages part by alpha times their difference",
        "differential",
        "Optimizers that start their square average at v_0 and at v_0' have averages that differ by alpha (v_0 - v_0') after "
        "the first step.",
        _RELATION,
        mend="Look at the initial value of the square average, and at the weight of the first gradient.",
    ),
    # --- observed, never failing: the page promises nothing
    Clause(
        "refuse-invalid",
        "a hyperparameter outside its domain is refused",
        "interpretation",
        "A negative lr, alpha, eps, momentum or weight_decay, or a NaN, raises at every door; so does a group without parameters.",
        "silent; every oracle's behaviour is shown",
        gates=False,
        mend="Check options in one function, and call it from the constructor and from add_param_group.",
    ),
    Clause(
        "caller-dict",
        "the caller's group dict is not kept or changed",
        "interpretation",
        "add_param_group and the constructor leave the dicts that they are given as they are, and zero_grad(set_to_none=False) a "
        "gradient tensor that the caller holds.",
        "silent; every oracle's behaviour is shown",
        "groups",
        gates=False,
        mend="Copy the dict that add_param_group is given before filling in defaults.",
    ),
    Clause(
        "load-without-option",
        "a checkpoint that lacks one of the page's options",
        "interpretation",
        "Where the groups of a saved state lack an option of the page, load_state_dict refuses it, or the optimizer has a value.",
        "silent; every oracle's behaviour is shown",
        "state_dict",
        gates=False,
        mend="Refuse it by name, or fall back on the option of the constructor.",
        younger=True,
    ),
    Clause(
        "failed-step",
        "a step that raises has changed nothing",
        "interpretation",
        "When one gradient is of a kind that is refused, no parameter of its group or of another has been stepped. A step may be "
        "refused in inference mode, and after one in it.",
        "silent; every oracle's behaviour is shown",
        gates=False,
        mend="Check all gradients before the first parameter is stepped.",
    ),
)

CLAUSES: Mapping[str, Clause] = MappingProxyType({row.id: row for row in _ALL})
"""Every clause by its id, in the order of the page."""

UNNAMED = Clause("", "", "api", "", "")
"""Stands for the clause of a program, or of a deviation read from a file, that names none of these."""

CLAUSE_OF_ROLE: Mapping[str, str] = MappingProxyType({row.computes: row.id for row in _ALL if row.computes})
"""The id of the clause that says how a role of the state is computed, by the role."""

CLAUSE_OF_START: Mapping[str, str] = MappingProxyType({row.starts: row.id for row in _ALL if row.starts})
"""The id of the clause that states the initial value of a role of the state, by the role."""

CLAUSE_OF_DEFAULT: Mapping[str, str] = MappingProxyType({row.option: row.id for row in _ALL if row.option})
"""The id of the clause that states the default of an option, by the option."""

_CLAUSE_OF_SOURCE = {source: row.id for row in _ALL for source in row.option_sources}


def option_clause(source: str, option: str) -> str:
    """The id of the clause about the value of an option from ``source``.

    ``source`` is ``default``, ``constructor``, ``group``, ``changed`` or ``loaded``. Raises ``KeyError`` for any other.
    """
    return CLAUSE_OF_DEFAULT[option] if source == "default" else _CLAUSE_OF_SOURCE[source]


def clause(id: str) -> Clause:
    """The clause with this id.

    Raises ``UnknownClause`` for an id that there is not.
    """
    row = CLAUSES.get(id)
    if row is None:
        raise UnknownClause(id)
    return row
