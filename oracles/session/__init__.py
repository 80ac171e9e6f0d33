"""What the sessions of all frameworks share: performing calls, applied gradients, edits of a saved state."""
