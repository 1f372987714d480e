#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lava-dl 0.6.0: SLAYER fires strictly above the threshold, but at it from vThMant 4096 on.
#
# SLAYER adds 0.01 / 4096 to the threshold, so that v >= threshold means Loihi's v > threshold. In
# float32 that is lost at thresholds of 64 and more (vThMant 4096 and more): a membrane at the threshold
# fires there and not below, on a CPU. Loihi and Lava never fire at it.
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

print("lava-dl", version("lava-dl"), "torch", torch.__version__)
ok = True
for mantissa in (64, 80, 2560, 4095, 4096, 6400, 131071):
    fired = []
    for above in (-1, 0, 1):  # in units of the last bit of a membrane, 1 / 4096
        neuron = slayer.neuron.cuba.Neuron(threshold=mantissa / 64, current_decay=1.0, voltage_decay=0.0)
        current = torch.tensor([[[mantissa / 64 + above / 4096]]])
        fired.append(int(neuron(current).item()))
    print(f"vThMant {neuron.device_params['vThMant']:6d}: membrane one bit below, at, one bit above: {fired}")
    if mantissa < 131071:
        ok &= fired == ([0, 0, 1] if mantissa < 4096 else [0, 1, 1])
raise SystemExit(0 if ok else 1)
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
