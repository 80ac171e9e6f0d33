"""Optimizers that are copied, and that are given checkpoints of other versions: each with one fault, or with none."""

import copy

from optimizers import Sound


class Copied(Sound):
    """No fault: what a step needs beside the state is made anew in a copy."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scratch = {}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.scratch = {}

    def update(self, p, g, group):
        self.scratch["last"] = p
        super().update(p, g, group)


class AttributeLost(Copied):
    """No fault of its own: torch copies defaults, state and groups alone, and a copy lacks what a step reads."""

    def __setstate__(self, state):
        Sound.__setstate__(self, state)


class NoPickle(Sound):
    """A copy has lost ``inner``, and to look it up looks it up: it cannot be copied in its turn."""

    def __init__(self, *args, **options):
        self.inner = {}
        super().__init__(*args, **options)

    def __getattr__(self, name):
        try:
            return self.inner[name]
        except KeyError:
            raise AttributeError(name) from None


class CopyIsItself(Sound):
    """A deep copy is the optimizer itself."""

    def __deepcopy__(self, memo):
        return self


class StateOfTheOriginal(Sound):
    """A deep copy goes on with the state of the original."""

    def __deepcopy__(self, memo):
        twin = type(self)([copy.deepcopy(p, memo) for group in self.param_groups for p in group["params"]])
        for group, mine in zip(twin.param_groups, self.param_groups, strict=False):
            group.update({name: value for name, value in mine.items() if name != "params"})
        for p, entry in self.state.items():
            twin.state[copy.deepcopy(p, memo)] = entry
        return twin


class StateLeftBehind(Sound):
    """A pickled optimizer begins anew."""

    def __getstate__(self):
        return {**super().__getstate__(), "state": type(self.state)(dict)}


class Versioned(Sound):
    """No fault: what a checkpoint lacks has a default, and what nobody knows is left alone."""

    def update(self, p, g, group):
        if group.get("corrected", False):
            raise AssertionError
        super().update(p, g, group)


class NeedsNewOption(Sound):
    """An option that a newer version brought: a checkpoint of before loads, and the next step raises KeyError."""

    def add_param_group(self, group):
        super().add_param_group(group)
        self.param_groups[-1].setdefault("corrected", True)

    def update(self, p, g, group):
        assert group["corrected"] in (True, False)
        super().update(p, g, group)


class UnknownEntryRefused(Sound):
    """No fault: an entry in the state that it does not know is refused."""

    def load_state_dict(self, state_dict):
        for entry in state_dict["state"].values():
            if set(entry) - {"square_avg", "grad_avg", "momentum_buffer"}:
                raise KeyError("unknown entries")
        super().load_state_dict(state_dict)


class UnknownEntryInTheWay(Sound):
    """No fault: an entry that it does not know is refused by the next step."""

    def update(self, p, g, group):
        assert set(self.state[p]) <= {"square_avg", "grad_avg", "momentum_buffer"}
        super().update(p, g, group)


class UnknownEntryApplied(Sound):
    """An entry in the state that it does not know corrects the step."""

    def denominator(self, variance, group):
        entries = [value for p in group["params"] for name, value in self.state[p].items() if name.startswith("of_")]
        return super().denominator(variance, group).mul_(1 + len(entries))


class UnknownOptionApplied(Sound):
    """Every number in a group scales the step."""

    def denominator(self, variance, group):
        known = {"params", "lr", "alpha", "eps", "weight_decay", "momentum", "centered"}
        scale = 1.0 + sum(value for name, value in group.items() if name not in known)
        return super().denominator(variance, group).mul_(scale)


class AllStateDemanded(Sound):
    """A step wants every entry that the parameter ever had."""

    def update(self, p, g, group):
        had = self.__dict__.setdefault("had", {}).setdefault(id(p), set())
        for name in had:
            assert name in self.state[p]
        super().update(p, g, group)
        had.update(self.state[p])


class ClearsBeforeItRefuses(Sound):
    """A checkpoint without counters is refused after the state is gone."""

    def update(self, p, g, group):
        super().update(p, g, group)
        self.state[p]["step"] = self.state[p].get("step", 0) + 1

    def load_state_dict(self, state_dict):
        if any("step" not in entry for entry in state_dict["state"].values()):
            self.state.clear()
            raise KeyError("step")
        super().load_state_dict(state_dict)


class RefusesWhole(ClearsBeforeItRefuses):
    """No fault: it refuses first."""

    def load_state_dict(self, state_dict):
        if any("step" not in entry for entry in state_dict["state"].values()):
            raise KeyError("step")
        Sound.load_state_dict(self, state_dict)
