"""Optimizers of TensorFlow 1 that are wrong on purpose, each in one way."""

import tensorflow as tf


class TouchesOtherRows(tf.compat.v1.train.RMSPropOptimizer):
    """Decays the averages of every row in a sparse update."""

    def _resource_apply_sparse(self, grad, var, indices):
        rms = self.get_slot(var, "rms")
        rms.assign(rms * tf.cast(self._decay_tensor, rms.dtype))
        return super()._resource_apply_sparse(grad, var, indices)


class StartsAtZero(tf.compat.v1.train.RMSPropOptimizer):
    """Starts its averages at 0."""

    def _create_slots(self, var_list):
        fresh = [var for var in var_list if self.get_slot(var, "rms") is None]
        super()._create_slots(var_list)
        for var in fresh:
            self.get_slot(var, "rms").assign(tf.zeros_like(var))


class IgnoresMomentum(tf.compat.v1.train.RMSPropOptimizer):
    """Takes a momentum and does nothing with it."""

    def _prepare(self):
        super()._prepare()
        self._momentum_tensor = tf.convert_to_tensor(0.0)
