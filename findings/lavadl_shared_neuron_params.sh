#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lava-dl 0.6.0: a Recurrent block writes into the dictionary of neuron parameters that it is given.
#
# `neuron_params` is passed to several blocks in every example. cuba.Recurrent sets its
# `persistent_state` to True: a Dense made from the same dictionary afterwards keeps its state from one
# call to the next, so that the same input gives other spikes the second time. cuba.Pool sets `norm` to
# None in the same way, so that a Dense made after it has no normalisation.
#
# lava-dl 0.6.0 declares Python < 3.11; its blocks run on later ones. Its object detection, which needs
# OpenCV and torchvision, is left out of the import.
#
# Exits with 0 while that is so, with 1 if it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 h5py==3.16.0 numpy==2.3.5 matplotlib==3.10.7 scipy==1.17.1
"$folder/venv/bin/pip" install --quiet --no-deps --ignore-requires-python lava-dl==0.6.0
cat > "$folder/show.py" <<'PY'
import sys
import types
from importlib.metadata import version

sys.modules["lava.lib.dl.slayer.object_detection"] = types.ModuleType("object_detection")
import torch
from lava.lib.dl import slayer

BLOCK = slayer.block.cuba
print("lava-dl", version("lava-dl"), "torch", torch.__version__)


def dense(parameters):
    torch.manual_seed(0)
    return BLOCK.Dense(parameters, 6, 16, weight_scale=4)


def differing(block):
    torch.manual_seed(1)
    x = (torch.rand(1, 6, 40) < 0.3).float()
    with torch.no_grad():
        return int((block(x) != block(x)).sum())


ok = True
for first in (False, True):
    parameters = {"threshold": 1.0, "current_decay": 0.3, "voltage_decay": 0.1}
    if first:
        BLOCK.Recurrent(parameters, 6, 6)
    wrong = differing(dense(parameters))
    print(f"Dense {'after a Recurrent of the same dictionary' if first else 'alone'}: dictionary has "
          f"persistent_state={parameters.get('persistent_state')}; two calls on one input differ in {wrong} spikes")
    ok &= (wrong > 0) == first
for first in (False, True):
    parameters = {"threshold": 1.0, "current_decay": 0.3, "voltage_decay": 0.1,
                  "norm": slayer.neuron.norm.MeanOnlyBatchNorm}
    if first:
        BLOCK.Pool(parameters, 2)
    norm = dense(parameters).neuron.norm
    print(f"Dense {'after a Pool of the same dictionary' if first else 'alone'}: its norm is {type(norm).__name__}")
    ok &= (norm is None) == first
raise SystemExit(0 if ok else 1)
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
