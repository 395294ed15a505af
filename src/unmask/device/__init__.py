"""From a file to clips with every frame on a GPU: NVDEC decodes, torch converts and crops.

`choose` (in `choice`, which needs no torch) says whether a machine can; `clips_of` (in `walk`) is
the twin of `unmask.clips.clips_of`, to the pixel within the bounds that docs/gpu.md states, and
hands a file that is not for the GPU over to it with a reason.
"""
