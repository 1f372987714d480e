# SPDX-License-Identifier: Apache-2.0
"""A published recurrent network on real ECG:

85.3 % of the real steps in float, within a point of it in integers.
"""

import numpy as np

from benchmarks.byin_ecg import load_model, load_recordings, quantized, step_accuracy
from neurohw import run_golden, run_reference
from tests.shared_data import shared_data


def test_accuracy_in_float_and_in_integers() -> None:
    data = shared_data("ecg_qtdb").parent
    trained = load_model(data)
    spikes, labels = load_recordings(data)
    assert spikes.shape == (1301, 141, 8)
    trace = run_reference(trained, spikes)
    reference = step_accuracy(trace, labels)
    assert abs(reference - 0.853) <= 0.001
    assert trace.spikes["hidden"].mean() > 0.1 and trace.spikes["output"].any()
    golden = run_golden(quantized(trained, 8), spikes)
    assert abs(step_accuracy(golden, labels) - reference) < 0.01
    # the adaptive thresholds are at work
    assert np.any(golden.states["a.output"] > 0)
