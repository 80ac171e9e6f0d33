"""Standalone scripts: the parts common to all frameworks, and the dispatch to a framework's own."""
