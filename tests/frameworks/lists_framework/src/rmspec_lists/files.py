"""Files of saved optimizers over plain lists: the averages as JSON, a list for each parameter."""

import json

import numpy as np

from rmspec.impl import Saved, SavedGroup, SavedParam
from rmspec.oracles import resolve_options


def read(path, dialect, given):
    """The saved optimizer in a file."""
    dialect, hyper = resolve_options(dialect, {}, given, where=str(path))
    params = [
        SavedParam(str(index), {"square_avg": np.array(squares)})
        for index, squares in enumerate(json.loads(path.read_text()))
    ]
    return Saved((SavedGroup(dialect, hyper, tuple(params)),))


def write(saved, ending):
    """The content of a file for a saved optimizer."""
    return json.dumps([param.arrays["square_avg"].tolist() for param in saved.params()]).encode()
