"""Subjects on Keras 3 and on the optimizers of Keras 2."""
