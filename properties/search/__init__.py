"""Programs to ask: the corpus, the state machine, sweeps, and what a subject can be asked."""
