"""Simulators behind one protocol: `check(model)`, `run(model, spikes) -> Trace`."""
