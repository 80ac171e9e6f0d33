"""A function that returns torch.optim.RMSprop."""

import torch


def make_rmsprop(params, **kwargs):
    kwargs.setdefault("foreach", False)
    return torch.optim.RMSprop(params, **kwargs)
