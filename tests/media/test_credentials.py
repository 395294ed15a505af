"""Content Credentials of files that are signed here, by a certificate authority made here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import make_media
from unmask.errors import ConfigError
from unmask.media import credentials, read_credentials, read_trust_anchors

c2pa = pytest.importorskip("c2pa")
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
PEM = serialization.Encoding.PEM


def name(common: str) -> x509.Name:
    parts = {
        NameOID.COUNTRY_NAME: "US", NameOID.ORGANIZATION_NAME: "Makers of tests",
        NameOID.COMMON_NAME: common,
    }  # fmt: skip
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    root = key is signer
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name("root"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(root, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
        .add_extension(
            x509.KeyUsage(digital_signature=not root, key_cert_sign=root, crl_sign=root, **usage),
            critical=True,
        )
    )
    if not root:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(purposes, critical=False)
    return made.sign(signer, hashes.SHA256())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    return make_media.write_video(path, make_media.portrait_frames(10, 160, 96))


@pytest.fixture(scope="module")
def signed(plain: Path) -> tuple[Path, str]:
    """A signed video, and the root certificate of its signer."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, leaf = certificate("root", root_key, root_key), certificate("camera", key, root_key)
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    manifest = {
        "claim_generator_info": [{"name": "test camera", "version": "1.0"}],
        "title": "A clip",
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": CAMERA}]},
            }
        ],
    }
    settings = {
        "verify": {"verify_after_sign": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    chain = leaf.public_bytes(PEM) + root.public_bytes(PEM)
    path = plain.parent / "signed.mp4"
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None)) as signer,
        c2pa.Builder(manifest, context=context) as builder,
        plain.open("rb") as source,
        path.open("w+b") as target,
    ):
        builder.sign(signer, "video/mp4", source, target)
    return path, root.public_bytes(PEM).decode()


def state(path: Path, anchors: str | None = None) -> dict[str, Any]:
    found = read_credentials(path, anchors)
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    return found


def test_a_file_without_a_manifest(plain: Path) -> None:
    found = state(plain)
    assert (found["state"], found["valid"], found["trusted"]) == ("none", None, None)


def test_valid_is_not_trusted(signed: tuple[Path, str]) -> None:
    path, root = signed
    found = state(path)
    assert (found["state"], found["valid"], found["trusted"]) == ("present", True, None)
    assert found["problems"] == []
    assert (found["issuer"], found["claim_generator"]) == ("Makers of tests", "test camera 1.0")
    assert found["actions"] == [{"action": "c2pa.created", "source_type": "digitalCapture"}]
    known = state(path, root)
    assert (known["valid"], known["trusted"], known["trust_list"]) == (True, True, True)


def test_a_signer_who_is_not_on_the_list(signed: tuple[Path, str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    stranger = certificate("root", key, key).public_bytes(PEM).decode()
    found = state(signed[0], stranger)
    assert (found["valid"], found["trusted"]) == (True, False)
    assert found["problems"] == ["signingCredential.untrusted"]


def test_an_altered_video_of_a_trusted_signer(signed: tuple[Path, str], tmp_path: Path) -> None:
    content = bytearray(signed[0].read_bytes())
    at = content.rfind(b"mdat") + 200
    content[at : at + 8] = bytes(8)
    path = tmp_path / "altered.mp4"
    path.write_bytes(content)
    found = state(path, signed[1])
    assert (found["state"], found["valid"], found["trusted"]) == ("present", False, True)
    assert found["problems"] == ["assertion.bmffHash.mismatch"]


@pytest.mark.parametrize("kept", [200, 3000, 9000])
def test_a_file_that_is_cut_off_never_raises(
    signed: tuple[Path, str], tmp_path: Path, kept: int
) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(signed[0].read_bytes()[:kept])
    assert state(path, signed[1])["valid"] is not True


def test_a_format_that_carries_none(tmp_path: Path) -> None:
    path = make_media.write_video(tmp_path / "a.mkv", make_media.gradient_frames(3, 64, 48))
    assert state(path)["state"] == "not_supported"


def test_without_the_extra_nothing_is_said(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "find_spec", lambda name: None)
    assert read_credentials(plain) is None


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"not a certificate"])
def test_a_trust_list_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_trust_anchors(path)
    assert caught.value.code == "config_trust"
