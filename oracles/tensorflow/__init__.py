"""Subjects on TensorFlow's raw operations and on the optimizer of TensorFlow 1."""
