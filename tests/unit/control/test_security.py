from __future__ import annotations

import base64

import pytest

from tests.toys import Toy
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.security.redaction import MASK, redact
from twinloop.control.security.service import Keys
from twinloop.core.errors import Forbidden, NotFound, Refused, Unauthenticated


async def test_without_keys_everybody_on_this_machine_is_the_local_admin(toy: Toy) -> None:
    keys = Keys(toy.store)
    await keys.load()
    assert keys.authenticate({}) == LOCAL_ADMIN


async def test_once_there_is_a_key_a_request_needs_one(toy: Toy) -> None:
    keys = Keys(toy.store)
    await keys.create(LOCAL_ADMIN, "ops", Role.admin)
    made = await keys.create(LOCAL_ADMIN, "ci", Role.developer)
    with pytest.raises(Unauthenticated, match="no key"):
        keys.authenticate({})
    with pytest.raises(Unauthenticated, match="unknown or revoked"):
        keys.authenticate({"authorization": "Bearer tl-wrong"})
    assert keys.authenticate({"authorization": f"Bearer {made.secret}"}).role == Role.developer


async def test_a_basic_password_is_a_key_too_for_clients_that_only_speak_basic(toy: Toy) -> None:
    keys = Keys(toy.store)
    await keys.create(LOCAL_ADMIN, "ops", Role.admin)
    made = await keys.create(LOCAL_ADMIN, "ci", Role.viewer)
    header = "Basic " + base64.b64encode(f"token:{made.secret}".encode()).decode()
    assert keys.authenticate({"authorization": header}).name == "ci"
    with pytest.raises(Unauthenticated):
        keys.authenticate({"authorization": "Basic !!!"})


async def test_a_revoked_key_no_longer_opens(toy: Toy) -> None:
    keys = Keys(toy.store)
    first = await keys.create(LOCAL_ADMIN, "one", Role.admin)
    second = await keys.create(LOCAL_ADMIN, "two", Role.admin)
    await keys.revoke(LOCAL_ADMIN, second.key.id)
    with pytest.raises(Unauthenticated):
        keys.authenticate({"authorization": f"Bearer {second.secret}"})
    with pytest.raises(NotFound):
        await keys.revoke(LOCAL_ADMIN, second.key.id)
    assert keys.authenticate({"authorization": f"Bearer {first.secret}"}).name == "one"


async def test_the_secret_is_not_in_the_database(toy: Toy) -> None:
    made = await Keys(toy.store).create(LOCAL_ADMIN, "one", Role.admin)
    await toy.store.read(lambda c: None)
    for path in toy.store.path.parent.iterdir():
        assert made.secret.encode() not in path.read_bytes()


async def test_only_an_admin_makes_keys(toy: Toy) -> None:
    with pytest.raises(Forbidden):
        await Keys(toy.store).create(Principal("d", "default", Role.releaser), "x", Role.admin)


async def test_nobody_can_lock_everybody_out(toy: Toy) -> None:
    keys = Keys(toy.store)
    with pytest.raises(Refused, match="first key must be an admin"):
        await keys.create(LOCAL_ADMIN, "ci", Role.developer)
    admin = await keys.create(LOCAL_ADMIN, "ops", Role.admin)
    developer = await keys.create(LOCAL_ADMIN, "ci", Role.developer)
    with pytest.raises(Refused, match="last admin key"):
        await keys.revoke(LOCAL_ADMIN, admin.key.id)
    await keys.revoke(LOCAL_ADMIN, developer.key.id)
    await keys.revoke(LOCAL_ADMIN, admin.key.id)
    assert keys.authenticate({}) == LOCAL_ADMIN


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop1234",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-1234567890-abcdefghij",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_secrets_are_masked_wherever_they_stand(secret: str) -> None:
    masked = redact({"a": [f"the key is {secret} ok"], "b": {"c": secret}, "n": 3})
    assert secret not in str(masked)
    assert MASK in masked["a"][0]
    assert masked["n"] == 3


def test_ordinary_text_is_left_alone() -> None:
    text = "The task-list of the risk-averse desk-worker: bearer of good news."
    assert redact(text) == text
