# Every bound is longer than the one inside it, and a stop takes longer than the longest request: each layer answers for
# itself before the one around it gives up. The service's environment is filled from here.
locals {
  timeouts = merge(var.timeouts, {
    # Constants of the service (web/connections.py, stopping.py) and a setting that is left alone, here so that the chain has all its links.
    keep_alive  = 75 # idle connections stay open: longer than the balancer's, or it answers 502 on a race
    drain_delay = 5  # after SIGTERM, new requests are still served: the balancer sends some until it has noticed
    flush       = 5  # after the drain: the last answers are taken by their callers
    # What is on the way when a wait ends: the answer itself, and the network on both sides.
    margin = 3
  })

  # ECS on Fargate kills a task after 120 seconds at the latest.
  longest_stop = 120
}

resource "terraform_data" "timeout_chain" {
  input = local.timeouts

  lifecycle {
    precondition {
      condition     = local.timeouts.response + local.timeouts.margin <= local.timeouts.api_gateway
      error_message = "timeouts.response must be at least ${local.timeouts.margin} s shorter than timeouts.api_gateway: the service answers 202 with a Location before API Gateway answers 504 without one."
    }
    precondition {
      condition     = local.timeouts.api_gateway < local.timeouts.balancer_idle
      error_message = "timeouts.api_gateway must be shorter than timeouts.balancer_idle: no byte flows while a request waits."
    }
    precondition {
      condition     = local.timeouts.balancer_idle < local.timeouts.keep_alive
      error_message = "timeouts.balancer_idle must be shorter than the ${local.timeouts.keep_alive} s for which the service keeps idle connections, or the balancer answers 502 now and then."
    }
    precondition {
      condition     = local.timeouts.drain >= local.timeouts.drain_delay + local.timeouts.response + local.timeouts.margin
      error_message = "timeouts.drain must be at least ${local.timeouts.drain_delay + local.timeouts.margin} s longer than timeouts.response: who was admitted last is still answered."
    }
    precondition {
      condition     = local.timeouts.deregistration > local.timeouts.api_gateway
      error_message = "timeouts.deregistration must be longer than timeouts.api_gateway: the balancer cuts what is still open then."
    }
    precondition {
      condition     = local.timeouts.stop >= local.timeouts.drain + local.timeouts.flush + local.timeouts.margin
      error_message = "timeouts.stop must be at least ${local.timeouts.flush + local.timeouts.margin} s longer than timeouts.drain: ECS kills the task then."
    }
    precondition {
      condition     = local.timeouts.stop <= local.longest_stop
      error_message = "timeouts.stop must be at most ${local.longest_stop} s on Fargate."
    }
  }
}

# No fault, but then every answer is a 202 and a Location.
check "workflow_fits_into_the_wait" {
  assert {
    condition     = var.wait_seconds + local.timeouts.margin <= local.timeouts.response
    error_message = "The workflow takes longer than timeouts.response: every request will be answered with 202 and a Location."
  }
}
