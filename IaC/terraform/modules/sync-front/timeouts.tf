# The timeout chain. Each timeout is longer than the one inside it, so each layer can answer before the layer around it gives
# up. What a variable leaves out follows from the longest waits of all workflows. The service's environment gets its values
# from here.
locals {
  timeouts = {
    response       = var.timeouts.response
    stream         = local.stream
    longest        = local.longest
    api_gateway    = coalesce(var.timeouts.api_gateway, var.response_streaming ? 900 : 29)
    balancer_idle  = local.balancer_idle
    keep_alive     = local.balancer_idle + 15 # how long idle connections stay open; if shorter than the load balancer's, it answers 502 now and then
    drain          = local.drain
    deregistration = coalesce(var.timeouts.deregistration, max(45, local.longest + 10))
    stop           = coalesce(var.timeouts.stop, max(60, local.drain + local.flush + local.margin))
    drain_delay    = local.drain_delay
    flush          = local.flush
    margin         = local.margin
  }

  stream = coalesce(var.timeouts.stream, var.response_streaming ? 890 : var.timeouts.response)
  # As in the service: a stream is at least as long as its plain wait, if it can be.
  waits = { for name, workflow in local.configured : name => {
    response = coalesce(workflow.response_timeout, var.timeouts.response)
    stream   = coalesce(workflow.stream_timeout, max(local.stream, min(coalesce(workflow.response_timeout, 0), local.max_stream)))
  } }
  longest_response = max(var.timeouts.response, values(local.waits)[*].response...)
  longest_stream   = max(local.stream, values(local.waits)[*].stream...)
  longest          = max(local.longest_response, local.longest_stream)
  # A stream is never silent for more than 10 s, so only plain waits count.
  balancer_idle = coalesce(var.timeouts.balancer_idle, max(60, local.longest_response + 10))
  # A longer wait is saved by the deregistration, which comes before SIGTERM. What comes without one ends it with a 202.
  drain = coalesce(var.timeouts.drain, min(local.longest_response + local.drain_delay + local.margin, local.max_stop - local.flush - local.margin))

  # Constants of the service (app/shutdown.py), and one setting at its default.
  drain_delay = 5 # after SIGTERM, new requests are still accepted: the load balancer sends some until it notices
  flush       = 5 # after the drain, time for callers to receive the last responses
  # For what still has to happen when a wait ends: writing the response, and the network on both sides.
  margin = 3

  # The longest stop timeout that ECS allows on Fargate.
  max_stop = 120
  # "Stream the integration response for your proxy integrations", API Gateway Developer Guide: a response ends after five
  # minutes without a byte. Whether the time before the first one counts is not documented, so a plain wait is shorter.
  max_silence = 285
  max_stream  = 890
}

resource "terraform_data" "timeout_chain" {
  input = local.timeouts

  lifecycle {
    precondition {
      condition     = local.timeouts.longest + local.timeouts.margin <= local.timeouts.api_gateway
      error_message = "timeouts.response and timeouts.stream, and those of each workflow, must be at least ${local.timeouts.margin} s shorter than timeouts.api_gateway: the service has to answer before API Gateway answers 504, without a Location."
    }
    precondition {
      condition     = !var.response_streaming || local.longest_response <= local.max_silence && local.longest_stream <= local.max_stream && local.timeouts.api_gateway <= 900
      error_message = "timeouts.response must be at most ${local.max_silence} s, timeouts.stream ${local.max_stream} s (of each workflow, too), and timeouts.api_gateway 900 s: API Gateway ends a response after five minutes without a byte, and after 15 minutes in any case."
    }
    precondition {
      condition     = local.longest_response + local.timeouts.margin < local.timeouts.balancer_idle && local.timeouts.balancer_idle <= 4000
      error_message = "timeouts.balancer_idle must be more than ${local.timeouts.margin} s longer than timeouts.response and that of each workflow, because a waiting request has no traffic, and at most 4000 s."
    }
    precondition {
      condition     = local.timeouts.deregistration > local.longest_response + local.timeouts.margin && local.timeouts.deregistration <= 3600
      error_message = "timeouts.deregistration must be more than ${local.timeouts.margin} s longer than timeouts.response and that of each workflow, because at its end the load balancer closes the open connections, and at most 3600 s."
    }
    precondition {
      condition     = local.timeouts.stop >= local.timeouts.drain + local.timeouts.flush + local.timeouts.margin
      error_message = "timeouts.stop must be at least ${local.timeouts.flush + local.timeouts.margin} s longer than timeouts.drain: at its end ECS kills the task."
    }
    precondition {
      condition     = local.timeouts.stop <= local.max_stop
      error_message = "timeouts.stop must be at most ${local.max_stop} s on Fargate."
    }
  }
}

# Allowed, but then every response is a 202 with a Location.
check "workflow_fits_response_timeout" {
  assert {
    condition     = length(var.workflows) > 0 || var.wait_seconds + local.timeouts.margin <= local.timeouts.response
    error_message = "The demonstration takes longer than timeouts.response: every response will be a 202 with a Location."
  }
}
