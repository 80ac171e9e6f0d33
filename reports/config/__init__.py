"""The options of a check: their rows, the table ``[tool.rmspec]``, and both together."""
