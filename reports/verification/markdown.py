"""The verification report as Markdown: the content of the page, with its plots as words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmspec.properties.verdict_table import READING_ORDER
from rmspec.reports.files.markdown import markdown_environment
from rmspec.reports.verification.page import report_parts

__all__ = ["render"]


def render(document: Mapping[str, Any]) -> str:
    """Write a document with its ``verification`` as Markdown."""
    template = markdown_environment().get_template("verification.md.jinja")
    return template.render(**report_parts(document), reading_order=READING_ORDER).rstrip() + "\n"
