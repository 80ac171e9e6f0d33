"""What a clause states in a dialect: the page's sentence, or what stands in its place where the dialect differs."""

from __future__ import annotations

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect

__all__ = ["statement"]

_PLACES = {
    "outside": "eps is added outside the square root",
    "inside": "eps is added inside the square root",
    "none": "there is no eps",
    "moves": "eps is added outside the square root without momentum, inside with it",
}
_DENOMINATORS = {"outside": "(sqrt(v~_t) + eps)", "inside": "sqrt(v~_t + eps)", "none": "sqrt(v~_t)"}
_DECAYS = {
    "decoupled-lr": "weight decay multiplies the parameter by 1 - gamma * lambda",
    "decoupled": "weight decay multiplies the parameter by 1 - lambda",
    "none": "there is no weight decay",
}


def statement(id: str, dialect: Dialect = SPECIFICATION) -> str:
    """The title of a clause; where the dialect states something else, that, and the dialect's name.

    Nothing for an id that there is not.
    """
    if id not in CLAUSES:
        return ""
    told = _told(id, dialect)
    return CLAUSES[id].title if told in ("", _told(id, SPECIFICATION)) else f"{told} ({dialect.name})"


def _told(id: str, dialect: Dialect) -> str:
    inside = dialect.lr_place == "inside"
    gamma = "gamma " if inside else ""
    match id:
        case "eps-placement":
            return _PLACES[dialect.eps_place]
        case "init-square-avg":
            return f"v_0 = {dialect.initial_square_avg:g}" if dialect.initial_square_avg != "eps" else "v_0 = eps"
        case "weight-decay":
            return _DECAYS.get(dialect.decay, "")
        case "descent":
            return "the step goes with the gradient" if dialect.maximize else ""
        case "momentum-lr":
            return "the learning rate is inside the buffer" if inside else ""
        case "momentum-buffer":
            return f"b_t = mu b_{{t-1}} + {gamma}g_t / {_denominator(dialect, moved=True)}"
        case "momentum-update":
            move = f"(mu b_t + {gamma}g_t / {_denominator(dialect, moved=True)})" if dialect.nesterov else "b_t"
            return f"theta_t = theta_{{t-1}} - {'' if inside else 'gamma '}{move}"
        case "update":
            return f"theta_t = theta_{{t-1}} - gamma g_t / {_denominator(dialect)}"
        case _ if id.startswith("default-"):
            return _default(id, dialect)
    return ""


def _denominator(dialect: Dialect, *, moved: bool = False) -> str:
    if dialect.eps_place == "moves":
        return _DENOMINATORS["inside" if moved else "outside"]
    return _DENOMINATORS[dialect.eps_place]


def _default(id: str, dialect: Dialect) -> str:
    name = id.removeprefix("default-").replace("-", "_")
    value = getattr(dialect.defaults, name)
    return "" if value is None else f"{name} is {value!r} when it is not given"
