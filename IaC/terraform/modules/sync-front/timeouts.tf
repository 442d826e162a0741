# The timeout chain. Each timeout is longer than the one inside it, and a stop takes longer than the longest request, so each
# layer can answer before the layer around it gives up. The service's environment gets its values from here.
locals {
  timeouts = merge(var.timeouts, {
    # Constants of the service (web/connections.py, app/shutdown.py) and one setting at its default, so that the chain is complete.
    keep_alive  = 75 # how long idle connections stay open; if shorter than the load balancer's, it answers 502 now and then
    drain_delay = 5  # after SIGTERM, new requests are still accepted: the load balancer sends some until it notices
    flush       = 5  # after the drain, time for callers to receive the last responses
    # For what still has to happen when a wait ends: writing the response, and the network on both sides.
    margin = 3
  })

  # The longest stop timeout that ECS allows on Fargate.
  max_stop = 120
}

resource "terraform_data" "timeout_chain" {
  input = local.timeouts

  lifecycle {
    precondition {
      condition     = local.timeouts.response + local.timeouts.margin <= local.timeouts.api_gateway
      error_message = "timeouts.response must be at least ${local.timeouts.margin} s shorter than timeouts.api_gateway: the service has to answer 202 with a Location before API Gateway answers 504 without one."
    }
    precondition {
      condition     = local.timeouts.api_gateway < local.timeouts.balancer_idle
      error_message = "timeouts.api_gateway must be shorter than timeouts.balancer_idle: a waiting request has no traffic."
    }
    precondition {
      condition     = local.timeouts.balancer_idle < local.timeouts.keep_alive
      error_message = "timeouts.balancer_idle must be shorter than the ${local.timeouts.keep_alive} s for which the service keeps idle connections open, or the load balancer answers 502 now and then."
    }
    precondition {
      condition     = local.timeouts.drain >= local.timeouts.drain_delay + local.timeouts.response + local.timeouts.margin
      error_message = "timeouts.drain must be at least ${local.timeouts.drain_delay + local.timeouts.margin} s longer than timeouts.response, so that the request that was accepted last is still answered."
    }
    precondition {
      condition     = local.timeouts.deregistration > local.timeouts.api_gateway
      error_message = "timeouts.deregistration must be longer than timeouts.api_gateway: at its end the load balancer closes the open connections."
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
    condition     = var.wait_seconds + local.timeouts.margin <= local.timeouts.response
    error_message = "The workflow takes longer than timeouts.response: every response will be a 202 with a Location."
  }
}
