# SPDX-License-Identifier: Apache-2.0
"""Networks of snnTorch layers, and back.

What the neurons of snnTorch 1.0 compute, found in their source, and what they are here:

    Leaky     subtract   the threshold is taken a step after the spike: soft, delayed_reset
              zero       the membrane before the next step counts as 0: hard, delayed_reset
    Synaptic  subtract   soft, delayed_reset, with a synaptic current
              zero       the membrane is 0 for the whole step after a spike, whose input is lost:
                         hard, refractory 1
    RLeaky, RSynaptic    the same two; `zero` is refractory for RLeaky, too.
                         The recurrent input is one step old
    Lapicque  subtract   soft, delayed_reset; decay 1 - dt/(R C), input times dt/C
              zero       hard, refractory 1
    Alpha     none, zero mem = tau (exc + inh) is a membrane with decay beta that takes the current
                         of the step before, scaled by tau (alpha - beta); `zero` clears everything
                         for one step: hard, refractory 1, clears_current

Each fires where its `spike_grad` says so: strictly above the threshold for all of snnTorch's own,
at the threshold for one that is 1 at 0. reset_delay=False with `zero` resets in the step of the
spike; RSynaptic ignores it. The reset is the one of the constructor: snnTorch ignores a change of
`reset_mechanism`. A parameter reaches the neurons as PyTorch broadcasts it: [n] lies along the
last axis (columns, after a convolution), [C, 1, 1] gives one value per channel.

Refused, naming the layer: `subtract` with reset_delay=False, which takes a threshold away again
when the membrane stays above it; `subtract` of Alpha, which sets the inhibitory current to 0 and
adds its old value to the membrane; inhibition, quantized states, graded spikes, subclasses, and a
`spike_grad` that is no step. Hooks, and methods put over one layer or Sequential. Neurons at two
places of a row: their one state is advanced twice a step, unless a forward hands over two.

Every imported neuron layer is also run: on random input it must give the spikes of its import. A
module whose order only its `forward` knows is run as well: see `forward`.
"""

from neurohw.interop.snntorch.exporting import export, to_snntorch
from neurohw.interop.snntorch.importing import from_snntorch, import_script

__all__ = ["export", "from_snntorch", "import_script", "to_snntorch"]
