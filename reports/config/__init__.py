"""What a check is asked for: its options, the table `[tool.rmspec]`, and both together."""
