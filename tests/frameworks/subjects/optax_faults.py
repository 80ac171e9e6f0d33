"""Factories of optax that are wrong on purpose, each in one way, and one that is only written differently."""

import jax
import optax


def correct(learning_rate, decay=0.9, eps=1e-8):
    return optax.chain(
        optax.scale_by_rms(decay=decay, eps=eps, eps_in_sqrt=True), optax.scale_by_learning_rate(learning_rate)
    )


def switched(
    learning_rate, decay=0.9, eps=1e-8, momentum=None, eps_in_sqrt=True, nesterov=False, bias_correction=False
):
    return optax.rmsprop(
        learning_rate,
        decay,
        eps,
        momentum=momentum,
        eps_in_sqrt=eps_in_sqrt,
        nesterov=nesterov,
        bias_correction=bias_correction,
    )


def switched_wrongly(learning_rate, decay=0.9, eps=1e-8, momentum=None, eps_in_sqrt=True, nesterov=False):
    return optax.rmsprop(learning_rate, decay, eps if eps_in_sqrt else 0.0, momentum=momentum)


def eps_outside(learning_rate, decay=0.9, eps=1e-8):
    return optax.chain(
        optax.scale_by_rms(decay=decay, eps=eps, eps_in_sqrt=False), optax.scale_by_learning_rate(learning_rate)
    )


def starts_at_one(learning_rate, decay=0.9, eps=1e-8):
    return optax.chain(
        optax.scale_by_rms(decay=decay, eps=eps, initial_scale=1.0), optax.scale_by_learning_rate(learning_rate)
    )


def weak_momentum(learning_rate, decay=0.9, eps=1e-8, momentum=None):
    return optax.rmsprop(learning_rate, decay=decay, eps=eps, momentum=momentum and 0.999 * momentum)


def climbs(learning_rate, decay=0.9, eps=1e-8):
    made = correct(learning_rate, decay, eps)

    def update(grads, state, params=None):
        updates, state = made.update(grads, state, params)
        return jax.tree.map(lambda u: -u, updates), state

    return optax.GradientTransformation(made.init, update)
