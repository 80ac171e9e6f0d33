"""The parts common to the sessions of all frameworks: calls, applied gradients, edits of a saved state."""
