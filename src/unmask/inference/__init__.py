"""Running an exported detector with ONNX Runtime: clips in, logits out, no torch needed.

`load_model` opens a bundled model by name, any ``.onnx`` file that `unmask export` wrote, with
the ClipSpec and the calibration that travel inside it, or an ensemble of such.
`heatmap` tells where in a crop it looked.
"""

from unmask.config import METADATA_KEY
from unmask.inference.heatmap import Heatmap, heatmap
from unmask.inference.load import load_model
from unmask.inference.model import Model

__all__ = ["METADATA_KEY", "Heatmap", "Model", "heatmap", "load_model"]
