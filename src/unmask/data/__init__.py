"""Datasets: which videos there are, what is known of them, who trains and who tests.

`read_manifest` recognises a folder and gives every video a group and a split; `check_leaks` holds a
store's splits apart. The loader and its caches (`unmask.data.loader`, `unmask.data.cache`) need
torch and are imported by their own names.
"""

from unmask.data.leaks import Leak, check_leaks, find_twins, raise_on_leaks
from unmask.data.manifest import Manifest, read_manifest
from unmask.data.sources import Source, as_file, locate, sha256_of

__all__ = [
    "Leak",
    "Manifest",
    "Source",
    "as_file",
    "check_leaks",
    "find_twins",
    "locate",
    "raise_on_leaks",
    "read_manifest",
    "sha256_of",
]
