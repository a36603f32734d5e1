"""The key that signs receipts is always one that the policy lists."""

from __future__ import annotations

import pytest
from support.gateway import Gateway

from gitkv.errors import IntegrityError
from gitkv.sign.gateway_key import Ed25519Signer, generate


def _listed(gateway: Gateway) -> bytes:
    """The serving key as the policy's text lists it."""
    return Ed25519Signer(gateway.keys.gateway).public_line.strip()


def _swap_file(gateway: Gateway, private: bytes) -> None:
    (gateway.git_dir / "kv" / "gateway_key").write_bytes(private)


def test_a_policy_without_the_serving_key_is_refused_with_the_way_to_rotate(
    gateway: Gateway,
) -> None:
    _, other = generate()
    answer = gateway.change_policy(lambda text: text.replace(_listed(gateway), other.strip()))
    [found] = answer.verdict.reasons
    assert (found.code, found.rule) == (3, "policy.gateway-key-in-use")
    assert "restart" in found.hint and "SHA256:" in found.expected
    assert gateway.push().verdict.accepted
    gateway.restart()


def test_a_swapped_key_file_does_not_start_and_says_how_to_rotate(gateway: Gateway) -> None:
    _swap_file(gateway, generate()[0])
    with pytest.raises(IntegrityError, match="gateway_keys") as caught:
        gateway.restart()
    assert "restart" in caught.value.hint
    _swap_file(gateway, gateway.keys.gateway)
    gateway.restart()
    assert gateway.push().verdict.accepted


def test_a_rotation_in_the_right_order_is_accepted_at_every_step(gateway: Gateway) -> None:
    old, (private, public) = _listed(gateway), generate()

    def add(text: bytes) -> bytes:
        line = next(line for line in text.split(b"\n") if old in line)
        return text.replace(line, line + b"\n" + line.replace(old, public.strip()))

    def drop(text: bytes) -> bytes:
        line = next(line for line in text.split(b"\n") if old in line)
        return text.replace(line + b"\n", b"")

    assert gateway.change_policy(add).verdict.accepted
    assert gateway.change_policy(drop).verdict.reasons[0].rule == "policy.gateway-key-in-use"
    assert gateway.push().verdict.accepted
    _swap_file(gateway, private)
    gateway.restart()
    assert gateway.push().verdict.accepted
    assert gateway.change_policy(drop).verdict.accepted
    assert gateway.push().verdict.accepted
    gateway.restart()
