"""How a family's rows become tensors: masks, positions, image features, caches."""

from __future__ import annotations

from vesalius.models.generative.rows.layouts.causal import Causal, Layout
from vesalius.models.generative.rows.layouts.crossed import Crossed
from vesalius.models.generative.rows.layouts.queried import Queried
from vesalius.models.generative.rows.layouts.rotary import Rotary3D
from vesalius.models.generative.rows.layouts.seq2seq import Seq2Seq
from vesalius.models.generative.rows.layouts.unshared import EncoderDecoder, PrefixLM
from vesalius.models.generative.rows.layouts.windowed import Gemma3, Gemma4

__all__ = ["Layout", "layouts"]

layouts: dict[str, Layout] = {
    "causal": Causal(),
    "crossed": Crossed(),
    "encoder_decoder": EncoderDecoder(),
    "gemma3": Gemma3(),
    "gemma4": Gemma4(),
    "prefix_lm": PrefixLM(),
    "queried": Queried(),
    "rotary_3d": Rotary3D(),
    "seq2seq": Seq2Seq(),
}
