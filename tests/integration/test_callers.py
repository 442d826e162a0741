"""Callers and ids across whole instances, which share nothing but their settings."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from uuid import UUID

from service.local import LocalAws
from tests.support.ids import IDS
from tests.support.outcomes import success
from tests.support.raw_http import listening
from tests.support.served import Served, served
from tests.support.within import within

HEADER = {"CALLER_HEADER": "X-Caller"}
KEY = {"Idempotency-Key": "order-17"}
METHODS = itertools.cycle(["GET", "DELETE"])


async def status(it: Served, execution_id: str, caller: str) -> int:
    async with it.client.get(f"{it.url}/event/{execution_id}", headers={"X-Caller": caller}) as response:
        return response.status


async def test_two_callers_with_one_key_at_two_instances_at_once_get_an_execution_each() -> None:
    async with LocalAws(port=0, wait=0.2) as aws, served(aws, HEADER) as one, served(aws, HEADER) as other:
        posts = [it.post(**KEY, **{"X-Caller": caller}) for it in (one, other) for caller in ("alice", "bob")]
        (alice, bob, alice_again, bob_again) = [body["id"] for _, body in await asyncio.gather(*posts)]
        assert (alice, bob) == (alice_again, bob_again)
        assert set(aws.executions) == {alice, bob}
        for it in (one, other):
            assert [await status(it, alice, caller) for caller in ("alice", "bob")] == [200, 404]
            assert [await status(it, bob, caller) for caller in ("alice", "bob")] == [404, 200]


async def test_instances_in_the_middle_of_a_rotation_share_keys_and_read_each_others_ids() -> None:
    first, second = "a first secret for ids", "a second secret for ids"
    orders = [{"ID_SECRETS": f"{first},{second}"}, {"ID_SECRETS": f"{second},{first}"}]
    async with LocalAws(port=0, wait=0.2) as aws, served(aws, orders[0]) as one, served(aws, orders[1]) as other:
        (_, keyed), (_, again) = await asyncio.gather(one.post(**KEY), other.post(**KEY))
        assert keyed == again
        assert len(aws.executions) == 1
        for maker, reader in ((one, other), (other, one)):
            _, body = await maker.post(Prefer="respond-async")
            assert await status(reader, body["id"], "") in {200, 202}


async def test_a_caller_at_its_limits_is_refused_and_another_one_served() -> None:
    limits = {"MAX_IN_FLIGHT": "4", "CALLER_SHARE": "0.5", "CALLER_RATE": "5/1", "RESPONSE_TIMEOUT": "20"}
    async with LocalAws(port=0, wait=60) as aws, served(aws, HEADER | limits) as it:
        held = [it.post(**{"X-Caller": "alice"}) for _ in range(2)]
        await it.until(lambda metrics: metrics("requests_in_flight") == 2)
        refused = [await it.post(**{"X-Caller": "alice"}) for _ in range(4)]
        assert [(status, body["type"].rpartition(":")[2]) for status, body in refused] == [
            *[(429, "caller-share-exceeded")] * 3,
            (429, "caller-rate-exceeded"),
        ]
        status, _ = await it.post(**{"X-Caller": "bob", "Prefer": "respond-async"})
        assert status == 202
        for request in held:
            request.cancel()


async def test_ten_thousand_guesses_of_ids_cause_no_call_to_aws_and_disturb_nobody() -> None:
    guesses = [f"exec-{UUID(int=secrets.randbits(128))}" for _ in range(10_000)]
    assert not any(IDS.verify(guess) for guess in guesses)
    sent = guesses[:300]  # `make acceptance` sends them all
    async with listening() as it:
        honest = asyncio.create_task(it.stage.submit("{}", 20))
        execution_id = await it.stage.started()
        requests = (f"{next(METHODS)} /event/{guess} HTTP/1.1\r\nHost: x\r\n\r\n" for guess in sent)
        answers = await it.connect("".join(requests).encode())
        async with within(10):
            for _ in sent:
                assert (await answers.readuntil(b"}")).lstrip().startswith(b"HTTP/1.1 404")
        it.stage.reply(execution_id, 1)
        assert (await honest).outcome == success(1)
        assert [action for action, _ in it.stage.endpoint.calls] == ["StartExecution"]
