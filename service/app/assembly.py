"""The assembly of one workflow, from its own parts and from those that all workflows share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.app.state_machine import StateMachineCheck
from service.bridge.bridge import Bridge
from service.bridge.envelope import EnvelopeMode, EventMode
from service.bridge.ids import Ids
from service.bridge.retries import Retries
from service.bridge.share import Share
from service.bridge.starter import Starter
from service.bridge.state_feed import StateFeed
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.redriver import Redriver
from service.stepfunctions.stopper import Stopper
from service.web.error_statuses import ErrorStatuses
from service.web.preferences import Waits
from service.web.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from service.app.settings import Settings
    from service.app.workflows import WorkflowSettings
    from service.bridge.admission import Admission
    from service.bridge.envelope import InputMode
    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.remote import RemoteSubscriptions
    from service.bridge.reply_channels import ReplyChannels
    from service.stepfunctions.budget import Budget
    from service.stepfunctions.endpoint import Endpoint
    from service.stepfunctions.read_budgets import ReadBudgets
    from service.stepfunctions.slots import Slots

MAX_STREAM_S: Final = 890.0
"""Seconds that the longest stream is open: API Gateway ends it after 900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the workflows of an instance share: quotas belong to the account, and one link brings all replies."""

    settings: Settings
    endpoint: Endpoint
    slots: Mapping[str, Slots]
    """Those of calls, but for starts: a workflow that is throttled must not take the places of others."""
    max_starts: int
    """Starts under way at once, for each workflow."""
    budgets: ReadBudgets
    stop_budget: Budget
    redrive_budget: Budget
    replies: PendingReplies
    recovery: Recovery
    remote: RemoteSubscriptions
    channel: ReplyChannels
    admission: Admission
    shard: str


@dataclass(frozen=True, slots=True)
class Assembled:
    """One workflow, ready to serve."""

    workflow: Workflow
    client: StepFunctionsClient
    check: StateMachineCheck


async def assemble(stack: AsyncExitStack, own: WorkflowSettings, shared: Shared) -> Assembled:
    """Make everything of one workflow; `stack` closes it."""
    settings = shared.settings
    client = await stack.enter_async_context(
        StepFunctionsClient(shared.endpoint, own.state_machine_arn, max_starts=shared.max_starts, slots=shared.slots)
    )
    record = RecordReader(client, shared.budgets)
    ids = _ids(own.name, settings, shared.shard)
    starter = Starter(client, shared.channel)
    share = Share(shared.admission, own.max_in_flight)
    input_mode: InputMode = EventMode() if own.input == "event" else EnvelopeMode()
    bridge = Bridge(
        starter,
        Stopper(client, shared.stop_budget),
        record,
        shared.replies,
        shared.recovery,
        shared.remote,
        share,
        input_mode=input_mode,
        stop_abandoned=(own.on_client_gone or settings.ON_CLIENT_GONE) == "stop",
    )
    stack.push_async_callback(bridge.aclose)
    retries = Retries(
        Redriver(client, shared.redrive_budget),
        starter,
        record,
        shared.replies,
        shared.recovery,
        shared.remote,
        share,
        input_mode=input_mode,
        follow=bridge.follow,
        durations=bridge.durations,
    )

    def without_record() -> None:
        record.kept = False
        ids.keys_enabled = False

    check = await stack.enter_async_context(
        StateMachineCheck(client, own.state_machine_arn, without_record, needs_record=own.input == "event")
    )
    states = await stack.enter_async_context(StateFeed(record, shared.recovery.lookup_ended, shared.replies.redrives))
    workflow = Workflow(
        name=own.name,
        path=own.route,
        bridge=bridge,
        retries=retries,
        ids=ids,
        schema=own.schema_of_requests,
        waits=_waits(own, settings),
        watch_states=states.watching if (own.progress or settings.PROGRESS) == "states" else None,
        result_schema=own.result_schema,
        check_results=own.check_results,
        errors=ErrorStatuses(own.errors),
        not_startable=lambda: check.unsuitable,
    )
    return Assembled(workflow, client, check)


def _waits(own: WorkflowSettings, settings: Settings) -> Waits:
    """Return its own waits, or those of the service; a stream is at least as long as its response, if it can be."""
    response = own.response_timeout or settings.RESPONSE_TIMEOUT
    return Waits(response, own.stream_timeout or max(settings.STREAM_TIMEOUT, min(response, MAX_STREAM_S)))


def _ids(name: str, settings: Settings, shard: str) -> Ids:
    """Return the ids, made with secrets that all instances share."""
    key_secret = settings.key_secret
    return Ids(
        name,
        [secret.get_secret_value() for secret in settings.ID_SECRETS],
        None if key_secret is None else key_secret.get_secret_value(),
        shard,
    )
