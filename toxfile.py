"""Inline tox plugin: environments that name one env_dir share it.

tox empties an environment whenever another name used its folder last. Here five environments hold the same packages,
torch among them, so each rebuild would cost minutes and gain nothing. Whatever else tox compares (Python version,
dependencies, constraints) still rebuilds the environment.
"""

from contextlib import AbstractContextManager
from typing import Any

from tox.plugin import impl
from tox.tox_env.api import ToxEnv
from tox.tox_env.info import Info
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner
from tox.tox_env.register import ToxEnvRegister


class SharedInfo(Info):
    """The record of how an environment was made, without the name of the one that made it."""

    def compare(
        self, value: Any, section: str, sub_section: str | None = None
    ) -> AbstractContextManager[tuple[bool, Any | None]]:
        """Compare as tox does, every name taken for the same one."""
        if section == ToxEnv.__name__:
            value = value | {"name": "shared"}
        return super().compare(value, section, sub_section)


class SharedVirtualEnv(VirtualEnvRunner):
    """A virtual environment that several tox environments may use in turn (`runner = shared`)."""

    @staticmethod
    def id() -> str:
        """Name this runner for tox.ini."""
        return "shared"

    @property
    def cache(self) -> Info:
        """Read the record of the last set-up."""
        return SharedInfo(self.env_dir)


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Offer the runner to tox.ini."""
    register.add_run_env(SharedVirtualEnv)
