"""How good a trained detector is: predictions on disk, the results tree, the plots.

The plots live in `unmask.evaluation.plots`, to be imported by name: they need matplotlib.
"""

from unmask.evaluation.predictions import Prediction, read_predictions, write_predictions
from unmask.evaluation.protocol import card_metrics, results_of

__all__ = ["Prediction", "card_metrics", "read_predictions", "results_of", "write_predictions"]
