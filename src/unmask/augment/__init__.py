"""Training augmentations, batched in torch on whatever device the clips are on.

`Augment` draws one set of parameters a clip and applies it to all of its frames; geometry, colour
and codec hold the steps. Pixels stay RGB in 0-255 throughout.
"""

from unmask.augment.policy import Augment, Draw

__all__ = ["Augment", "Draw"]
