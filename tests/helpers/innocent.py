"""Subjects over the reference that do nothing to their process, and cannot be checked."""

from dataclasses import replace

from rmspec.oracles.numpy.subject import ReferenceSubject


class Raising(ReferenceSubject):
    """Cannot make a parameter."""

    def session(self, params):
        raise NotImplementedError("no parameters yet")


class Halves(ReferenceSubject):
    """Has the halves alone."""

    def capabilities(self):
        return replace(super().capabilities(), formats=("float16", "bfloat16"))


raising = Raising()
halves = Halves()
