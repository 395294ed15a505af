"""Running an exported detector with ONNX Runtime: clips in, logits out, no torch needed.

`load_model` opens a bundled model by name or any ``.onnx`` file that `unmask export` wrote, with
the ClipSpec and the calibration that travel inside it. `heatmap` tells where in a crop it looked.
"""

from unmask.config import METADATA_KEY
from unmask.inference.heatmap import Heatmap, heatmap
from unmask.inference.session import Model, load_model

__all__ = ["METADATA_KEY", "Heatmap", "Model", "heatmap", "load_model"]
