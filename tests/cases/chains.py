"""RMSprop of the page as chains of optax, each with another number in its trace."""

import optax


def _chain(before, after, decay, eps, momentum):
    parts = [optax.scale_by_rms(decay=decay, eps=eps, eps_in_sqrt=False), optax.scale(before)]
    if momentum is not None:
        parts.append(optax.trace(decay=momentum))
    return optax.chain(*parts, optax.scale(after))


def holds_buffer(learning_rate=0.01, decay=0.99, eps=1e-8, momentum=None):
    return _chain(1.0, -learning_rate, decay, eps, momentum)


def holds_negative(learning_rate=0.01, decay=0.99, eps=1e-8, momentum=None):
    return _chain(-1.0, learning_rate, decay, eps, momentum)


def holds_quarter(learning_rate=0.01, decay=0.99, eps=1e-8, momentum=None):
    return _chain(-0.25, 4 * learning_rate, decay, eps, momentum)
