#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# snnTorch 1.0.0: two ways to choose a reset that do nothing.
#
# 1. `layer.reset_mechanism = "zero"` after construction, or a state dict with another mechanism, is
#    accepted and shown by the attribute, but the layer goes on with the reset of its constructor.
# 2. `RSynaptic(reset_mechanism="zero", reset_delay=False)` gives the spikes of reset_delay=True (Synaptic
#    and RLeaky with the same arguments do not): its forward resets a local variable.
#
# Exits with 0 while that is so, with 1 if it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 snntorch==1.0.0 numpy==2.3.5
cat > "$folder/show.py" <<'PY'
import snntorch as snn
import torch

print("snntorch", snn.__version__, "torch", torch.__version__)
torch.manual_seed(0)
CURRENTS = torch.rand(50, 1, 64)


def spikes(layer, states):
    state = tuple(torch.zeros(1, 64) for _ in range(states))
    result = []
    with torch.no_grad():
        for current in CURRENTS:
            out = layer(current, *state)
            state = out if len(out) == states else out[1:]  # RLeaky, RSynaptic take their spikes back
            result.append(out[0])
    return torch.stack(result)


ok = True
subtract = spikes(snn.Leaky(0.9, reset_mechanism="subtract"), 1)
zero = spikes(snn.Leaky(0.9, reset_mechanism="zero"), 1)
assigned = snn.Leaky(0.9, reset_mechanism="subtract")
assigned.reset_mechanism = "zero"
loaded = snn.Leaky(0.9, reset_mechanism="subtract")
loaded.load_state_dict(snn.Leaky(0.9, reset_mechanism="zero").state_dict())
print("Leaky: spikes that differ between the constructors of subtract and zero:", int((subtract != zero).sum()))
for name, layer in (("assigned 'zero'", assigned), ("loaded a state dict of 'zero'", loaded)):
    got = spikes(layer, 1)
    as_old, as_new = int((got != subtract).sum()), int((got != zero).sum())
    print(f"Leaky('subtract'), {name}: attribute {layer.reset_mechanism!r}, mechanism buffer "
          f"{int(layer.reset_mechanism_val)}; differs from subtract in {as_old}, from zero in {as_new} spikes")
    ok &= as_old == 0 and as_new > 0

for kind, states in (("Synaptic", 2), ("RLeaky", 2), ("RSynaptic", 3)):
    results = []
    for delay in (True, False):
        torch.manual_seed(1)
        more = {"alpha": 0.5} if "Syn" in kind else {}
        if kind.startswith("R"):
            more["linear_features"] = 64
        layer = getattr(snn, kind)(beta=0.9, reset_mechanism="zero", reset_delay=delay, **more)
        results.append(spikes(layer, states))
    differ = int((results[0] != results[1]).sum())
    print(f"{kind}(zero): reset_delay True and False differ in {differ} of {results[0].numel()} spikes")
    ok &= (differ == 0) == (kind == "RSynaptic")
raise SystemExit(0 if ok else 1)
PY
"$folder/venv/bin/python" -W ignore "$folder/show.py"
