"""What floating point may make of it: formats, policies, intervals, the envelope and its filter."""
