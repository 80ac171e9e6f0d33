"""Keras optimizers that are wrong on purpose, each in one way, and one that is only written differently."""

import keras
from keras import ops


class Base(keras.optimizers.RMSprop):
    """RMSprop as Keras computes it, in steps that can be overridden."""

    def denominator(self, v):
        return ops.sqrt(v + self.epsilon)

    def pushed(self, momentum, lr, direction):
        momentum.assign(self.momentum * momentum + lr * direction)
        return momentum

    def update_step(self, gradient, variable, learning_rate):
        lr = ops.cast(learning_rate, variable.dtype)
        g = ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        v = self._velocities[index]
        v.assign(v + (1 - self.rho) * (g * g - v))
        spread = ops.convert_to_tensor(v)
        if self.centered:
            m = self._average_gradients[index]
            m.assign(m * self.rho + (1 - self.rho) * g)
            spread = spread - ops.square(m)
        direction = g / self.denominator(spread)
        if self.momentum > 0:
            variable.assign_sub(self.pushed(self._momentums[index], lr, direction))
        else:
            variable.assign_sub(lr * direction)


class OwnNames(keras.optimizers.Optimizer):
    """The same on the base class alone, with its state in attributes of other names."""

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, name="own"):
        super().__init__(learning_rate=learning_rate, name=name)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._squares = self.add_optimizer_variables(variables, "velocity")
        self._buffers = self.add_optimizer_variables(variables, "momentum") if self.momentum > 0 else []
        self._means = self.add_optimizer_variables(variables, "average_gradient") if self.centered else []

    def update_step(self, gradient, variable, learning_rate):
        lr, g = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        v = self._squares[index]
        self.assign(v, v + (1 - self.rho) * (g * g - v))
        spread = v + self.epsilon
        if self.centered:
            m = self._means[index]
            self.assign(m, m + (1 - self.rho) * (g - m))
            spread = v - m * m + self.epsilon
        move = (lr * g) / ops.sqrt(spread)
        if self.momentum > 0:
            b = self._buffers[index]
            self.assign(b, move + b * self.momentum)
            move = b
        self.assign(variable, variable - move)


class EpsOutside(Base):
    """Adds epsilon to the root."""

    def denominator(self, v):
        return ops.sqrt(v) + self.epsilon


class LrOutside(Base):
    """Keeps a buffer without the learning rate."""

    def update_step(self, gradient, variable, learning_rate):
        self._rate = ops.cast(learning_rate, variable.dtype)
        super().update_step(gradient, variable, learning_rate)

    def pushed(self, momentum, lr, direction):
        momentum.assign(self.momentum * momentum + direction)
        return self._rate * momentum


class DecayInGradient(keras.optimizers.RMSprop):
    """Adds the weight decay to the gradient."""

    def update_step(self, gradient, variable, learning_rate):
        decay = self.weight_decay or 0.0
        super().update_step(gradient + decay * variable, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        return


class SparseTouchesOtherRows(keras.optimizers.RMSprop):
    """Moves every row of a parameter where the gradient names a few."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        if hasattr(gradient, "indices"):
            variable.assign(variable - 0.125)


class LoadsNothing(keras.optimizers.RMSprop):
    """Takes a saved state, and goes on with its own."""

    def load_own_variables(self, store):
        return
