"""Subjects over plain lists."""

import numpy as np

import rmspec_lists
from rmspec.oracles import FEATURES, AppliedSubject, Capabilities, Driven, Place, Unsupported
from rmspec_lists.descriptor import FRAMEWORK, LISTS

NAMES = LISTS.constructor.names


class Lists(Place):
    """Lists of numbers as the variables and the gradients of a program."""

    def __init__(self, factory):
        self.factory = factory
        self.shapes = {}

    def variable(self, name, values):
        return self.dense(values)

    def dense(self, values):
        numbers = values.reshape(-1).tolist()
        self.shapes[id(numbers)] = numbers, values.shape  # the list is kept, so that its id stays its own
        return numbers

    def read(self, held):
        return np.array(held, np.float64).reshape(self.shapes[id(held)][1])

    def optimizer(self, variables, options):
        return ListsOptimizer(self.factory, variables, options)


class ListsOptimizer(Driven):
    """One optimizer over the lists that it steps."""

    def __init__(self, factory, variables, options):
        self.variables = list(variables)
        self.optimizer = factory(**{NAMES[name]: value for name, value in options.items()})

    def step(self, gradients):
        self.optimizer.step(self.variables, list(gradients))

    def change(self, option, value):
        setattr(self.optimizer, NAMES[option], value)

    def state(self):
        squares = self.optimizer.squares
        return [{"square_avg": np.array(squares[i])} if i in squares else {} for i in range(len(self.variables))]


class ListsSubject(AppliedSubject):
    """An optimizer over plain lists as a subject."""

    framework = "lists"

    def __init__(self, name, factory, baselines=()):
        features = {"schedule"} & set(FEATURES)
        capabilities = Capabilities(
            formats=("float64",),
            options=frozenset(NAMES),
            features=frozenset(features),
            missing=dict.fromkeys(set(FEATURES) - features, "a list has nothing of the kind"),
            roles=frozenset({"square_avg"}),
            changeable=frozenset(NAMES),
            carried=frozenset(),
            edits=frozenset(),
        )
        super().__init__(
            name,
            Lists(factory),
            capabilities,
            dialect="lists",
            state_names={"square_avg": LISTS.constructor.state_names["square_avg"]},
            baselines=baselines,
        )

    def versions(self):
        return {"rmspec-lists": "1.0"}


def registered(name, device):
    """The subject of a registered name."""
    if device != "cpu":
        raise Unsupported(f"{name} has no device {device!r}", hint="leave out --device")
    return ListsSubject(name, rmspec_lists.RMSprop)


def user_subject(name, factory, device):
    """A class of the user's that is called like ``rmspec_lists.RMSprop``."""
    return ListsSubject(name, factory, (FRAMEWORK.baseline,))
