"""Content Credentials (C2PA): what a file's signed manifest says of its origin.

Needs the extra ``unmask[c2pa]``. Nothing is fetched: a manifest that lies on the net is not
followed. What is read stands beside the verdict and never enters the score. That a manifest is
*valid* means that it was not altered since it was signed; whether its signer can be *trusted* is
another question, which only a list of trusted certificates answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unmask.errors import ConfigError

_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False}
_TRUSTED, _UNTRUSTED = "signingCredential.trusted", "signingCredential.untrusted"
_EMPTY: dict[str, Any] = {
    "state": "none",
    "valid": None,
    "trusted": None,
    "trust_list": False,
    "issuer": None,
    "signed_at": None,
    "claim_generator": None,
    "title": None,
    "actions": [],
    "problems": [],
}


def read_trust_anchors(path: Path) -> str:
    """The PEM certificates of a file whose signers are to be trusted.

    Raises:
        ConfigError: ``config_trust``: it cannot be read or holds no certificate.
    """
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read certificates from {path}.", code="config_trust") from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigError(f"{path} holds no PEM certificate.", code="config_trust")
    return text


def read_credentials(path: Path, trust_anchors: str | None = None) -> dict[str, Any] | None:
    """The state of a file's Content Credentials, as ``provenance.c2pa`` of the schema.

    Args:
        path: a regular file.
        trust_anchors: PEM certificates; without them ``trusted`` is None, not False.

    Returns:
        None where the extra is not installed. ``state`` is ``none`` (no manifest),
        ``not_supported`` (a format that cannot carry one here), ``unreadable`` (there is something,
        ``problems`` tell what is wrong), or ``present``.
    """
    if find_spec("c2pa") is None:
        return None
    import c2pa

    settings: dict[str, Any] = {"verify": _OFFLINE}
    if trust_anchors:
        settings["trust"] = {"user_anchors": trust_anchors}
    found = {**_EMPTY, "trust_list": trust_anchors is not None}
    try:
        with path.open("rb") as file, c2pa.Context.from_dict(settings) as context:
            reader = c2pa.Reader.try_create(file, context=context)
            if reader is None:
                return found
            with reader:
                return found | _facts(json.loads(reader.json()), trust_anchors is not None)
    except c2pa.C2paError.NotSupported:
        return found | {"state": "not_supported"}
    except (c2pa.C2paError, OSError, ValueError) as error:
        return found | {"state": "unreadable", "problems": [_one_line(error)]}


def _facts(store: Mapping[str, Any], trust_list: bool) -> dict[str, Any]:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info", {})
    state = str(store.get("validation_state", "")).lower()
    results = store.get("validation_results", {}).get("activeManifest", {})
    passed, problems = (
        dict.fromkeys(str(result.get("code")) for result in results.get(kind, ()))
        for kind in ("success", "failure")
    )
    # Not from the state: an altered file can carry the signature of a trusted signer.
    trusted = True if _TRUSTED in passed else False if trust_list else None
    if trusted is None:  # no list to look the signer up in: not known, rather than wrong
        problems.pop(_UNTRUSTED, None)
    generators = manifest.get("claim_generator_info") or [{}]
    generator = " ".join(str(generators[0].get(key, "")) for key in ("name", "version")).strip()
    return {
        "state": "present",
        "valid": state in ("valid", "trusted"),
        "trusted": trusted,
        "issuer": signature.get("issuer"),
        "signed_at": signature.get("time"),
        "claim_generator": generator or manifest.get("claim_generator"),
        "title": manifest.get("title"),
        "actions": _actions(manifest),
        "problems": list(problems),
    }


def _actions(manifest: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """What the manifest says was done; the source type's last word, e.g. ``digitalCapture``."""
    found = []
    for assertion in manifest.get("assertions", ()):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            data = assertion.get("data")  # whatever the file says it is
            actions = data.get("actions") if isinstance(data, Mapping) else None
            for action in actions if isinstance(actions, list) else ():
                if not isinstance(action, Mapping):
                    continue
                source = str(action.get("digitalSourceType") or "").rsplit("/", 1)[-1]
                found.append({"action": str(action.get("action")), "source_type": source or None})
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
