"""The packages: every folder of the four floors that has an ``__init__``. The rest of the metadata is in pyproject.toml.

A list of them there would have to be extended with every new room, and a setuptools that finds packages by itself would
find them under the names of the folders.
"""

from pathlib import Path

from setuptools import setup

FLOORS = ("impl", "oracles", "properties", "reports")

setup(
    packages=[
        ".".join(("rmspec", *init.parent.parts))
        for floor in FLOORS
        for init in sorted(Path(floor).rglob("__init__.py"))
    ]
)
