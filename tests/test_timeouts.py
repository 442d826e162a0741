"""Times and limits that only make sense together, by their real values: tests elsewhere shorten them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from annotated_types import Le

from service.app.composition import MAX_CONCURRENT_STARTS, READY_GRACE_S
from service.app.serve import MAX_DRAIN_TIMEOUT_S, MAX_RESPONSE_TIMEOUT_S
from service.app.settings import Settings
from service.app.shutdown import FLUSH_TIMEOUT_S, FORCED_FLUSH_TIMEOUT_S, LAST_READ_S
from service.appsync.connection import WATCHDOG_INTERVAL_S, WATCHDOG_RECHECK_DELAY_S
from service.appsync.events import EventThrottle
from service.appsync.protocol import DEFAULT_SILENCE_TIMEOUT_S
from service.appsync.renewal import SILENCE_CHECK_INTERVAL_S
from service.appsync.secrets_manager import MIN_READ_INTERVAL_S
from service.appsync.timing import Backoff, Renewal, Timeouts
from service.bridge import listings, lookup_queue, recovery
from service.bridge.envelope import MAX_INPUT_BYTES
from service.bridge.remote import MAX_REMOTE_EXECUTIONS, SUBSCRIBE_TIMEOUT_S
from service.bridge.shared_starts import SHARED_START_TIMEOUT_S
from service.bridge.starter import CONFIRM_TIMEOUT_S, LINK_GRACE_S
from service.bridge.timer_wheel import TICK_S
from service.bridge.waiter import LOOKUP_BEFORE_DEADLINE_S, MIN_WAIT_FOR_LOOKUP_S
from service.local.realtime import MAX_SUBSCRIPTIONS
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.http1 import MAX_HEAD_BYTES, MAX_RESPONSE_BYTES
from service.stepfunctions.pool import CLOSE_TIMEOUT_S
from service.stepfunctions.reader import EXISTING_RETRY_DELAYS_S, RECOVERY_READ_TIMEOUT_S
from service.stepfunctions.token_bucket import (
    DESCRIBE_EXECUTION_QUOTA,
    GET_EXECUTION_HISTORY_QUOTA,
    LIST_EXECUTIONS_QUOTA,
    STOP_EXECUTION_QUOTA,
)
from service.web.connections import HEAD_TIMEOUT_S, KEEP_ALIVE_S, READ_TIMEOUT_S
from service.web.events import COMMENT_INTERVAL_S
from service.web.http_connection import MAX_BODY_BYTES, MAX_DISCARDED_BYTES

TERRAFORM = Path(__file__).parents[1] / "IaC" / "terraform" / "modules" / "sync-front"


def chain() -> dict[str, float]:
    """Return the default timeouts of the infrastructure, as Terraform's own test has them, and its bounds."""
    tested = (TERRAFORM / "tests" / "timeouts.tftest.hcl").read_text().partition("\nrun ")[2].partition("\nrun ")[0]
    bounds = (TERRAFORM / "timeouts.tf").read_text().partition("precondition")[0]
    found = re.findall(r"^ +(\w+) += (\d+)\b", f"{tested}{bounds}", re.MULTILINE)
    return {name: float(seconds) for name, seconds in found}


def default(setting: str) -> float:
    return float(Settings.model_fields[setting].default)


def most(setting: str) -> float:
    """Return the largest value that a setting may have."""
    (rule,) = [rule for rule in Settings.model_fields[setting].metadata if isinstance(rule, Le)]
    return float(cast("float", rule.le))


def parameter(name: str) -> float:
    """Return a default of the client's constructor."""
    defaults = StepFunctionsClient.__init__.__kwdefaults__ or {}
    return float(defaults[name])


def test_the_infrastructure_repeats_the_values_of_the_service() -> None:
    it = chain()
    assert it["keep_alive"] == KEEP_ALIVE_S
    assert it["flush"] == FLUSH_TIMEOUT_S
    assert it["max_stop"] - it["flush"] - it["margin"] == MAX_DRAIN_TIMEOUT_S
    assert it["max_silence"] == MAX_RESPONSE_TIMEOUT_S
    assert it["max_stream"] == it["stream"] == most("STREAM_TIMEOUT")
    repeated = {"response": "RESPONSE_TIMEOUT", "drain_delay": "DRAIN_DELAY"}
    assert {name: it[name] for name in repeated} == {name: default(setting) for name, setting in repeated.items()}


def test_each_timeout_around_a_request_is_longer_than_the_one_inside_it() -> None:
    it = chain()
    assert it["longest"] + it["margin"] <= it["api_gateway"]  # else 504 without a Location
    assert it["response"] + it["margin"] < it["balancer_idle"]  # a waiting request has no traffic
    assert it["balancer_idle"] + 10 <= it["keep_alive"] <= 120  # else 502s; but idle connections take files
    assert 5 <= COMMENT_INTERVAL_S <= it["balancer_idle"] / 3  # a stream outlives a lost comment, at a small cost
    assert 10 <= READ_TIMEOUT_S < it["balancer_idle"]  # a stalled reader gives its place back
    assert 30 <= HEAD_TIMEOUT_S <= 120  # a busy client connects long before it sends; a silent one takes a place


def test_a_stop_takes_longer_than_the_last_request_it_accepts() -> None:
    it = chain()
    assert it["drain"] >= it["drain_delay"] + it["response"] + it["margin"]  # else it is released without its result
    assert it["deregistration"] > it["longest"]  # at its end the balancer cuts connections
    assert it["stop"] >= it["drain"] + LAST_READ_S + it["flush"] + it["margin"]  # at its end ECS kills the task
    assert LAST_READ_S <= FORCED_FLUSH_TIMEOUT_S <= 1  # who forces a stop waits no longer
    assert LAST_READ_S >= 0.01  # a request on its way arrives in that time


def test_a_normal_reconnect_is_over_before_anybody_notices() -> None:
    backoff, timeouts = Backoff(), Timeouts()
    early = sum(backoff.base * 2**attempt for attempt in range(3))  # three attempts, at the longest pauses
    assert backoff.base >= 0.05  # a restart of AppSync must not meet a storm
    assert early < LINK_GRACE_S  # requests wait for it
    assert backoff.base * 2 < recovery.FIRST_POLL_AFTER_S <= 1  # the record is left alone in that time, but no longer
    assert backoff.cap + timeouts.connect < READY_GRACE_S < default("RESPONSE_TIMEOUT")  # no traffic is moved elsewhere


def test_recovery_is_soon_and_stays_below_the_quotas() -> None:
    pace = lookup_queue.MAX_SINGLE_READS / recovery.POLL_INTERVAL_S
    assert pace < DESCRIBE_EXECUTION_QUOTA.refill / 2  # one of several instances
    assert recovery.FIRST_POLL_AFTER_S < recovery.POLL_INTERVAL_S <= 3  # results come late by no more
    assert (recovery.LOOKUPS_AFTER_GAP_S[0], recovery.LOOKUPS_AFTER_GAP_S[-1] <= 5) == (0, True)
    assert sum(lookup_queue.RECORD_LAG_PAUSES_S) <= 5  # the record shows an end within seconds
    assert min(lookup_queue.RECORD_LAG_PAUSES_S) >= lookup_queue.MIN_READ_INTERVAL_S  # 10 reads a second at most
    assert 1 / DESCRIBE_EXECUTION_QUOTA.refill <= lookup_queue.MIN_READ_INTERVAL_S
    assert lookup_queue.RETRY_FAILED_READ_AFTER_S >= RECOVERY_READ_TIMEOUT_S  # no faster than it fails


def test_an_end_that_nothing_reported_is_found_within_thirty_seconds() -> None:
    found_by_a_sweep = recovery.SWEEP_INTERVAL_S + lookup_queue.SETTLE_S + 2 * RECOVERY_READ_TIMEOUT_S  # and its page
    assert found_by_a_sweep + lookup_queue.SWEEP_TOKEN_TIMEOUT_S <= 30
    assert recovery.MIN_SWEPT_WAIT_S - LOOKUP_BEFORE_DEADLINE_S + RECOVERY_READ_TIMEOUT_S <= 31
    assert default("RESPONSE_TIMEOUT") < recovery.MIN_SWEPT_WAIT_S  # by default there are no sweeps
    assert lookup_queue.SETTLE_S >= 2  # replies that are on their way are not read
    assert LIST_EXECUTIONS_QUOTA.size / 2 >= listings.MAX_LIST_PAGES


def test_the_last_lookup_has_time_for_a_read() -> None:
    assert 0.5 <= LOOKUP_BEFORE_DEADLINE_S <= MIN_WAIT_FOR_LOOKUP_S  # later, its response would miss the deadline
    assert (
        TICK_S <= MIN_WAIT_FOR_LOOKUP_S / 4 / 4
    )  # in the shortest wait it comes after three quarters, or a tick later
    assert LOOKUP_BEFORE_DEADLINE_S < lookup_queue.LAST_LOOKUP_WINDOW_S  # it reads what no listing has shown
    assert RECOVERY_READ_TIMEOUT_S <= CONFIRM_TIMEOUT_S  # a start in doubt is read before the deadline


def test_a_shared_start_has_time_for_everything_that_it_may_wait_for() -> None:
    needed = LINK_GRACE_S + parameter("timeout") + sum(EXISTING_RETRY_DELAYS_S)
    assert needed <= SHARED_START_TIMEOUT_S <= default("RESPONSE_TIMEOUT") / 2


def test_a_failed_call_is_repeated_a_few_times_before_it_is_given_up() -> None:
    """A backoff that is too long makes one attempt of them, and one that is too short a storm."""
    pauses = [parameter("backoff") * 2**attempt for attempt in range(1, 20)]
    attempts = next(count for count in range(20) if sum(pauses[:count]) > parameter("timeout"))
    assert 4 <= attempts <= 7
    assert parameter("timeout") / 2 < parameter("attempt_timeout") < parameter("timeout")  # a slow one is not cut off
    assert parameter("timeout") <= default("RESPONSE_TIMEOUT") / 4  # most of the wait is the workflow's


def test_starts_are_limited_by_their_quota_and_not_by_their_slots() -> None:
    start_quota, seconds_a_call = 300, 0.05  # "Quotas", AWS Step Functions Developer Guide: 300/s in large regions
    assert 4 * start_quota * seconds_a_call <= MAX_CONCURRENT_STARTS
    assert MAX_CONCURRENT_STARTS <= 1024  # each takes a connection


def test_the_largest_response_of_step_functions_is_read_and_no_endless_one() -> None:
    event_bytes, escaped = 256 * 1024, 6  # "Quotas", Step Functions Developer Guide; the longest escape is "\u0000"
    assert 2**13 <= MAX_HEAD_BYTES <= 2**16  # AWS sends less than a KiB
    assert 2 * event_bytes * escaped < MAX_RESPONSE_BYTES <= 8 * event_bytes * escaped  # an input and an output


def test_the_quotas_are_those_that_aws_documents() -> None:
    """Request quotas of the state machine's API actions in most regions ("Quotas", Step Functions Developer Guide)."""
    quotas = (DESCRIBE_EXECUTION_QUOTA, GET_EXECUTION_HISTORY_QUOTA, LIST_EXECUTIONS_QUOTA, STOP_EXECUTION_QUOTA)
    assert [str(quota) for quota in quotas] == ["300/15", "400/20", "200/5", "1000/200"]


def test_a_caller_may_send_what_any_service_would_accept_before_it_is_cut_off() -> None:
    api_gateway = 10_000_000  # "Quotas for configuring and running a REST API": the largest payload
    assert api_gateway <= MAX_DISCARDED_BYTES <= 2 * api_gateway
    assert MAX_INPUT_BYTES < MAX_BODY_BYTES <= 4 * MAX_INPUT_BYTES


def test_closing_connections_does_not_hold_up_a_stop() -> None:
    assert chain()["margin"] >= CLOSE_TIMEOUT_S


def test_subscriptions_to_other_instances_never_use_up_the_connection() -> None:
    assert 20 <= 2 * MAX_REMOTE_EXECUTIONS <= MAX_SUBSCRIPTIONS / 2  # two channels each
    assert Timeouts().subscribe >= SUBSCRIBE_TIMEOUT_S  # after that the record is polled


def test_a_connection_is_renewed_before_the_service_ends_it() -> None:
    renewal, day = Renewal(), 24 * 3600.0
    assert 6 * 3600 <= renewal.earliest < renewal.latest - 3600  # spread, and not all the time
    assert renewal.latest + 5 * (renewal.backoff.cap + renewal.takeover) < day  # time for some more attempts
    assert renewal.overlap < renewal.takeover <= 3 * Timeouts().subscribe  # one that hangs is soon given up
    assert renewal.takeover < DEFAULT_SILENCE_TIMEOUT_S
    assert 1 <= Backoff().refresh_interval <= 10  # new credentials are in use within seconds; each read has a cost
    assert Backoff().refresh_interval >= MIN_READ_INTERVAL_S > 0.1  # each of them reads the secret
    assert 10 <= Backoff().refused_cap <= 60  # refused ones rarely become valid by themselves


def test_a_half_open_connection_is_replaced_long_before_it_counts_as_dead() -> None:
    keep_alive = DEFAULT_SILENCE_TIMEOUT_S / 5
    assert WATCHDOG_RECHECK_DELAY_S < WATCHDOG_INTERVAL_S <= 2  # a dead one is noticed within seconds of its timeout
    assert keep_alive / 2 > 2 * SILENCE_CHECK_INTERVAL_S  # and a silent one soon after a keep-alive is overdue


def test_a_peer_that_sends_nonsense_cannot_flood_the_log() -> None:
    assert 30 <= EventThrottle.INTERVAL_S <= 300


def test_an_attempt_to_connect_is_given_up_in_time_for_another_one() -> None:
    timeouts = Timeouts()
    assert min(timeouts.connect, timeouts.ack, timeouts.subscribe) >= 2  # a lost packet is sent again in that time
    assert timeouts.connect + timeouts.ack + timeouts.subscribe < default("RESPONSE_TIMEOUT")
    assert 2 * timeouts.close < chain()["margin"]  # the end of the link is part of the stop
