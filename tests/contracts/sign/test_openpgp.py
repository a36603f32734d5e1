"""What GnuPG makes of other spellings of a signature, and of one with a changed byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from support.openpgp_spellings import KINDS, SPELLINGS, TITLE, data_of

from gitkv.model.openpgp_packets import enarmour


def test_gnupg_alone_accepts_other_spellings(gpg_tool, vector, tmp_path: Path) -> None:
    """Why the form is checked here: with GnuPG's word only, one signature would make several good
    commits.
    """
    case = vector("openpgp-ed25519")
    tmp_path.chmod(0o700)
    gpg = [
        gpg_tool,
        "--homedir",
        str(tmp_path),
        "--batch",
        "--quiet",
        "--no-autostart",
        "--trust-model",
        "always",
    ]
    subprocess.run([*gpg, "--import"], input=case.key.material, check=True, capture_output=True)
    accepted = set()
    for spelling, change in SPELLINGS.items():
        (tmp_path / "sig").write_bytes(change(case.armour))
        argv = [*gpg, "--faked-system-time", "1700000600!", "--verify", str(tmp_path / "sig"), "-"]
        if subprocess.run(argv, input=case.payload, capture_output=True).returncode == 0:
            accepted.add(spelling)
    assert {
        "Version header",
        "no checksum",
        "new packet header",
        "text after",
        "note in the unhashed area",
    } <= accepted


@settings(max_examples=60)
@given(data=st.data())
def test_one_changed_byte_under_intact_armour_is_never_good(data, vector, judge) -> None:
    case = vector(data.draw(st.sampled_from(KINDS)))
    content = data_of(case.armour)
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    armour = enarmour(TITLE, content[:at] + bytes([byte]) + content[at + 1 :])
    assert judge(case._replace(armour=armour)).status != "good"
