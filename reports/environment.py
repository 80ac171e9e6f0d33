"""The environment of a run: versions, settings and the digest of its programs, and nothing volatile."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path

from rmspec.properties.settings import Settings

__all__ = ["environment", "version"]


def version() -> str:
    """The version of rmspec; ``0+unknown`` in a checkout without an installation."""
    try:
        return metadata.version("rmspec")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def environment(settings: Settings, fingerprint: str) -> dict[str, str]:
    """Versions, settings and the programs' ``fingerprint``: with the same of these, a run comes out the same."""
    facts = {
        "rmspec": version(),
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "hypothesis": metadata.version("hypothesis"),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "profile": settings.profile,
        "seed": str(settings.seed),
        "policy": settings.policy.name,
        "device": settings.device,
        "fingerprint": fingerprint,
        "time_budget": "" if settings.time_budget is None else f"{settings.time_budget:g}",
        "dtype": ",".join(settings.formats),
        "without": ",".join(sorted(settings.without)),
        "dialect": settings.dialect or "",
        "framework": settings.framework or "",
        "baseline": settings.baseline or "",
    }
    return {name: value for name, value in facts.items() if value}


def _processor() -> str:
    """The model of the processor as Linux names it, else as Python does; empty if unknown."""
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.M)
    except (OSError, UnicodeDecodeError):
        names = []
    return names[0].strip() if names else platform.processor()
