"""Checks of optimizers: programs and their search, judgement, reduction, identification and recordings.

``check`` takes the name of a subject or an object with the ``Subject`` protocol and returns a ``SubjectResult``: a
verdict, and the evidence for it. ``examine`` is the same as a stream of events, for those who want
to follow it; ``Settings`` are its options. ``run`` executes one program and compares it, ``reduce`` makes it short, and
``read_known`` reads a list of known deviations; ``identify`` says which dialect a subject speaks; ``record`` keeps the steps of
a real training run. Importing this imports no framework.
"""

from rmspec.properties.check import check, examine
from rmspec.properties.counterexamples.reduction import reduce
from rmspec.properties.events import ClauseResult, Deviation, Event, SubjectResult
from rmspec.properties.identify.answer import Identification
from rmspec.properties.identify.identification import identify
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.runner import Run, run
from rmspec.properties.known import BadKnownList, Known, read_known, shipped
from rmspec.properties.recordings.record import record
from rmspec.properties.settings import PROFILES, Profile, Settings, make_settings

__all__ = [
    "PROFILES",
    "BadKnownList",
    "ClauseResult",
    "Deviation",
    "Event",
    "Finding",
    "Identification",
    "Known",
    "Profile",
    "Run",
    "Settings",
    "SubjectResult",
    "Tally",
    "check",
    "examine",
    "identify",
    "make_settings",
    "read_known",
    "record",
    "reduce",
    "run",
    "shipped",
]
