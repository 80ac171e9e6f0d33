"""Edits of a saved state, as a standalone script makes them; see ``rmspec.oracles.session.edits``."""

from __future__ import annotations

from rmspec.oracles.program.program import EditState
from rmspec.oracles.session import edits
from rmspec.oracles.subject import OPTIONS, STATE_SYNONYMS

__all__ = ["STAND_IN", "edit_lines"]

STAND_IN = """class Elsewhere(torch.Tensor):  # a tensor on another device: it can be moved here, and nothing else
    def __new__(cls, x): return torch.Tensor._make_wrapper_subclass(cls, x.size(), dtype=x.dtype, device="meta")
    def __init__(self, x): self.x = x
    @classmethod
    def __torch_dispatch__(cls, f, types, args=(), kw={}):
        y = f(*[getattr(a, "x", a) for a in args], **(kw or {})) if f._opname in ("_to_copy", "copy_", "clone", "detach") else 1 / 0
        return cls(y) if f._opname in ("clone", "detach") else y"""
"""A stand-in for another device: ``rmspec.oracles.torch.saved_states`` with what a script needs alone."""


def edit_lines(call: EditState, device: str) -> list[str]:
    """Write an edit of a saved state."""
    slot = call.slot
    ids = f'[k for g in {slot}["param_groups"] for k in g["params"]]'
    match call.edit:
        case "drop":
            return [f"ids = {ids}", f'{slot}["state"].pop(ids[{call.index} % len(ids)], None)']
        case "shorten":
            return [f'{slot}["state"].pop({slot}["param_groups"][-1]["params"].pop(), None)']
        case "relabel":
            return [
                f"ids = {{k: 100 + 7 * (9 - i) for i, k in enumerate({ids})}}",
                f'{slot}["state"] = {{ids[k]: v for k, v in reversed(list({slot}["state"].items()))}}',
                f'for g in {slot}["param_groups"]: g["params"] = [ids[k] for k in g["params"]]',
            ]
        case "older":
            names = ", ".join(f'"{name}"' for name in ("params", *OPTIONS))
            return [
                f'{slot}["param_groups"] = [{{k: g[k] for k in ({names}) if k in g}} for g in {slot}["param_groups"]]'
            ]
        case "newer":
            return [f'for g in {slot}["param_groups"]: g["{edits.UNKNOWN}"] = 1.0']
        case "extended":
            copied = 'copy.deepcopy(max(entry.values(), key=lambda v: getattr(v, "ndim", 0)))'
            return [f'for entry in {slot}["state"].values(): entry["{edits.UNKNOWN}"] = {copied}']
        case "lean":
            return _lean(slot)
        case "uncounted":
            return [f'for entry in {slot}["state"].values(): entry.pop("step", None)']
        case "elsewhere":
            away = "v.cpu()" if device else "Elsewhere(v)"
            return [
                f'for entry in {slot}["state"].values():',
                f'    entry.update({{k: {away} for k, v in entry.items() if getattr(v, "ndim", 0)}})',
            ]
        case "forget":
            return [f'for g in {slot}["param_groups"]: g.pop("{OPTIONS[call.index % len(OPTIONS)]}", None)']
        case "reshape":
            return [
                f"ids = {ids}",
                f'entry = {slot}["state"].get(ids[{call.index} % len(ids)], {{}})',
                "for k, v in entry.items():",
                '    entry[k] = v if k == "step" else torch.cat([torch.as_tensor(v).flatten(), torch.zeros(1)])',
            ]


def _lean(slot: str) -> list[str]:
    lines = [f'for k, g in [(k, g) for g in {slot}["param_groups"] for k in g["params"]]:']
    for role, option in edits.BRANCHES.items():
        names = tuple(name for name, meant in STATE_SYNONYMS.items() if meant == role)
        drop = f'{slot}["state"].get(k, {{}}).pop(name, None)'
        lines.append(f'    for name in () if g["{option}"] else {names}: {drop}')
    return lines
