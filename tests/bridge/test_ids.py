from __future__ import annotations

import secrets
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bridge import ids
from service.bridge.ids import Ids

OLD, NEW, KEY_SECRET = "an old secret of all instances", "a new secret of all instances", "a secret for keys"
CALLERS = st.text(max_size=20).map(lambda text: text.encode(errors="replace").decode())


def made(*id_secrets: str, workflow: str = "event", shard: str | None = None) -> Ids:
    return Ids(workflow, id_secrets or (OLD,), KEY_SECRET, shard)


@given(CALLERS, CALLERS)
def test_an_id_verifies_on_every_instance_for_its_caller_alone(caller: str, other: str) -> None:
    for execution_id in (made().new(caller), made().for_key("order-17", caller)):
        assert made().verify(execution_id, caller)
        assert made().verify(execution_id, other) == (caller == other)


@pytest.mark.parametrize("keyed", [False, True])
def test_an_id_belongs_to_one_workflow_and_one_secret(keyed: bool) -> None:
    execution_id = made().for_key("a") if keyed else made().new()
    assert made().verify(execution_id)
    assert not made(workflow="orders").verify(execution_id)
    assert not Ids("event", [NEW], NEW).verify(execution_id)


@pytest.mark.parametrize("keyed", [False, True])
def test_no_bit_of_an_id_can_be_changed(keyed: bool) -> None:
    instance = Ids("event", [OLD], OLD)  # with one secret for both kinds, which must not be mistaken for each other
    execution_id = instance.for_key("a") if keyed else instance.new()
    number = UUID(execution_id.removeprefix("exec-")).int
    assert not any(instance.verify(f"exec-{UUID(int=number ^ 1 << bit)}") for bit in range(128))


@pytest.mark.parametrize("text", ["", "x", "exec-1", "{id}0", "0{id}", "{id}\n", "{upper}"])
def test_what_is_no_id_is_not_verified(text: str) -> None:
    execution_id = made(shard="abc").new()
    assert not made().verify(text.format(id=execution_id, upper=execution_id.upper()))


def test_an_id_begins_with_the_shard_of_its_instance() -> None:
    instance = made()
    assert {instance.new()[5:8] for _ in range(3)} == {instance.shard}
    assert instance.for_key("a")[5:8] == ids.KEYED_SHARD == "000"


def test_no_instance_draws_the_shard_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn, shard in ((0, "001"), (4094, "fff")):
        monkeypatch.setattr(secrets, "randbelow", lambda _limit, drawn=drawn: drawn)
        assert ids.new_shard() == shard


def test_ids_without_a_key_are_all_different() -> None:
    instance = made()
    assert len({instance.new() for _ in range(1000)}) == 1000


def test_ids_of_every_secret_in_rotation_verify() -> None:
    before, during, after = made(OLD), made(OLD, NEW), made(NEW, OLD)
    for maker in (before, during, after):
        assert during.verify(maker.new())
        assert after.verify(maker.new())
    assert not made(NEW).verify(before.new())  # the old secret is gone


def test_a_key_names_one_id_whatever_the_other_secrets_are() -> None:
    assert made(OLD, NEW).for_key("order-17") == made(NEW, OLD).for_key("order-17") == made(NEW).for_key("order-17")


def test_another_key_secret_caller_or_workflow_gives_another_id() -> None:
    pairs = [("a", "b"), ("ab", ""), ("", "ab"), ("b", "a"), ("a", ""), ("", "a")]
    makers = [Ids(workflow, [OLD], secret) for workflow in ("event", "orders") for secret in (KEY_SECRET, NEW)]
    assert len({maker.for_key(key, caller) for maker in makers for key, caller in pairs}) == 4 * len(pairs)


def test_the_id_of_a_key_never_changes_between_versions() -> None:
    """A change would start work again that a key has started before."""
    assert made().for_key("key", "caller") == "exec-00056139-a63b-7432-4043-884393c6544e"


def test_keys_need_their_secret() -> None:
    without = Ids("event", [OLD], None)
    assert (without.keys_enabled, made().keys_enabled) == (False, True)
    with pytest.raises(ValueError, match="no secret"):
        without.for_key("a")
    assert not without.verify(made().for_key("a"))


def test_a_caller_of_any_bytes_has_ids() -> None:
    caller = b"caf\xe9".decode(errors="surrogateescape")
    assert made().verify(made().new(caller), caller)
