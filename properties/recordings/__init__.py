"""Recording a training run, and verifying each of its steps."""
