"""The reference as a subject whose optimizers are made into another class: for faults that torch has no place for."""

from __future__ import annotations

from rmspec.impl.reference import RMSprop
from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.numpy.subject import ReferenceSession, ReferenceSubject
from rmspec.oracles.program.program import Create, Param


class Faulty(ReferenceSubject):
    """The reference, whose optimizers are made into another class."""

    def __init__(self, kind: type[RMSprop], dialect: str = "torch") -> None:
        super().__init__(DIALECTS[dialect])
        self._kind = kind

    def session(self, params: tuple[Param, ...]) -> ReferenceSession:
        session = super().session(params)
        made = session._create

        def create(call: Create) -> RMSprop:
            optimizer = made(call)
            optimizer.__class__ = self._kind
            return optimizer

        session._create = create  # type: ignore[method-assign]
        return session
