"""Configurations that are refused: the table ``[tool.rmspec]``, and what the message says of it."""

CONFIGURATIONS = {
    "unknown key": ('profil = "smoke"', "did you mean profile?"),
    "text for a number": ('seed = "3"', "not an integer"),
    "truth for a number": ("seed = true", "not an integer"),
    "number for text": ("profile = 3", "not a string"),
    "text for a switch": ('fail-fast = "yes"', "not true or false"),
    "list of numbers": ("dtype = [32]", "not a string, or a list of strings"),
    "unknown value": ('profile = "smok"', "did you mean smoke?"),
    "key twice": ("time-budget = 1\ntime_budget = 2", "twice"),
    "not TOML": ("profile =", "is not TOML"),
}
