"""Everything that can go wrong with an input, each with a stable code and a next step.

    UnmaskError
    ├── InputError              something about a file or folder that was given
    │   ├── MediaError          a video (or image) cannot be read
    │   ├── DatasetError        a folder of videos cannot be made into a dataset
    │   ├── LeakError           the same person, source or file stands in two splits
    │   ├── StoreError          a clip store is damaged or made for other settings
    │   └── ScanError           a scan's folder is in use, or made for other settings
    ├── ConfigError             a configuration file or override is wrong
    ├── ModelError              weights are missing, altered, or do not fit
    ├── RunError                a training run cannot start or go on
    └── MissingExtraError       a part of unmask that was not installed is needed

`code` is for machines and never changes once released; `message` is for people; `hint` names the
next step. The caller's own mistakes (wrong shapes, negative sizes) raise ValueError instead.
"""

from __future__ import annotations


class UnmaskError(Exception):
    """Base of every error that unmask raises on purpose.

    Attributes:
        code: stable snake_case identifier, e.g. ``"media_truncated"``.
        message: one sentence for people, without the hint.
        hint: the next step to take, or an empty string.
    """

    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders in prepare's workers; keyword arguments must survive.
        return (_rebuild, (type(self), self.message, self.code, self.hint))


def _rebuild(kind: type[UnmaskError], message: str, code: str, hint: str) -> UnmaskError:
    return kind(message, code=code, hint=hint)


class InputError(UnmaskError):
    """A file or folder that was given cannot be used."""

    default_code = "input"


class MediaError(InputError):
    """A media file cannot be read.

    Codes: ``media_not_found``, ``media_not_regular`` (FIFO, directory, device),
    ``media_empty``, ``media_format`` (not a known container, playlist, text),
    ``media_no_video`` (audio only), ``media_in_tiles`` (a phone's HEIC), ``media_no_frames``,
    ``media_too_large`` (pixels), ``media_too_long``, ``media_damaged``,
    ``media_unreadable`` (permissions, I/O), ``media_changed`` (while it was judged).
    """

    default_code = "media_damaged"


class DatasetError(InputError):
    """A dataset folder or manifest cannot be used (``dataset_*``)."""

    default_code = "dataset_layout"


class LeakError(InputError):
    """Splits share a file, a near-duplicate, a source video or an identity (``leak_*``)."""

    default_code = "leak_group"


class StoreError(InputError):
    """A clip store is damaged, foreign, or made with another ClipSpec (``store_*``)."""

    default_code = "store_damaged"


class ScanError(InputError):
    """A scan cannot start or go on.

    Codes: ``scan_no_files``, ``scan_list`` (a list of paths cannot be read), ``scan_out`` (the
    folder of the results cannot be written), ``scan_locked`` (another process scans into it),
    ``scan_settings`` (its results were made by another model or with other settings),
    ``scan_foreign`` (it holds something else).

    The ``error.code`` of a single file's verdict is one of `MediaError`'s, or of the scan's own:
    ``scan_timeout``, ``scan_memory``, ``scan_cpu`` (it reached a limit), ``scan_crashed`` (its
    worker process died), ``scan_internal`` (a fault of unmask), ``scan_folder`` (a folder that
    cannot be listed).
    """

    default_code = "scan_foreign"


class ConfigError(UnmaskError):
    """A configuration has an unknown key, a wrong type or an impossible value (``config_*``)."""

    default_code = "config_value"


class ModelError(UnmaskError):
    """Weights are missing, altered or do not fit (``model_*``)."""

    default_code = "model_missing"


class RunError(UnmaskError):
    """A training run cannot start or go on (``run_*``)."""

    default_code = "run_failed"


class MissingExtraError(UnmaskError):
    """A part of unmask that was not installed is needed (``extra_missing``)."""

    default_code = "extra_missing"
