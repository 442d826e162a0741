from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from service.bridge.idempotency_keys import IdempotencyKeys


@given(st.text(min_size=1, max_size=255))
def test_a_key_gives_the_same_random_looking_id_on_every_instance(key: str) -> None:
    execution_id = IdempotencyKeys("a secret of all instances").execution_id(key)
    assert IdempotencyKeys("a secret of all instances").execution_id(key) == execution_id
    prefix, _, text = execution_id.partition("-")
    assert prefix == "exec"
    assert (UUID(text).version, str(UUID(text))) == (4, text)


def test_another_key_or_another_secret_gives_another_id() -> None:
    ids = {IdempotencyKeys(secret).execution_id(key) for secret in ("a", "b") for key in ("a", "b", "ab", "")}
    assert len(ids) == 8


def test_the_id_of_a_key_never_changes_between_versions() -> None:
    """A change would start work again that a key has started before."""
    assert IdempotencyKeys("secret").execution_id("key") == "exec-11ed1625-10bf-46ea-bf94-1edf5c10947a"
