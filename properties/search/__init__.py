"""Programs: the corpus, the state machine, sweeps, and how a program is fitted to a subject."""
