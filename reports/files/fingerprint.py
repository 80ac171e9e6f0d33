"""Fingerprints of findings: the same for the same fault of the same subject, in every run and on every machine.

It is a digest of the clause, of the subject's name without the folders that differ from machine to machine, and of
whether the finding is new, known or a hazard. Numbers, programs, seeds and versions play no part: they differ while the
fault is the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

from rmspec.oracles.names import parse_name
from rmspec.properties.events import Deviation, SubjectResult

__all__ = ["NAME", "fingerprints", "portable"]

NAME = "rmspec/v1"
"""The name of this way to make fingerprints; another way is another name."""


def fingerprints(results: Sequence[SubjectResult]) -> Iterator[tuple[SubjectResult, Deviation, str]]:
    """Every deviation and hazard of a run, each with its fingerprint; no two of one run have the same."""
    subjects = [result.name for result in results]
    counts: Counter[str] = Counter()
    for result in results:
        for deviation in (*result.deviations, *result.hazards):
            kind = "hazard" if deviation.hazard else deviation.known or ""
            text = "\0".join((NAME, portable(result.name, subjects), deviation.clause, kind))
            counts[text] += 1
            if counts[text] > 1:
                text += f"\0{counts[text]}"
            yield result, deviation, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def portable(name: str, subjects: Sequence[str]) -> str:
    """A subject's name without the folders of its file; as many are kept as tell it from the run's other subjects."""
    own = _parts(name)
    rivals = [_parts(rival) for rival in dict.fromkeys(subjects) if rival != name]
    for length in range(1, len(own)):
        if not any(rival[-length:] == own[-length:] for rival in rivals):
            return "/".join(own[-length:])
    return "/".join(own)


def _parts(name: str) -> list[str]:
    parts = parse_name(name)
    if not parts.file:
        return [name]
    *folders, file = parts.place.replace("\\", "/").split("/")
    return [*folders, parts.placed(file)]
