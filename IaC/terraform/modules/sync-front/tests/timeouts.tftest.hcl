# A plan with a broken timeout chain must fail. contract.tftest.hcl checks that the timeouts reach every layer, and
# tests/test_timeouts.py that the default chain fits the service.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "the_default_chain" {
  command = plan

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  assert {
    condition = jsonencode(terraform_data.timeout_chain.input) == jsonencode({
      response       = 25
      stream         = 890
      longest        = 890
      api_gateway    = 900
      balancer_idle  = 60
      keep_alive     = 75
      drain          = 33
      deregistration = 900
      stop           = 60
      drain_delay    = 5
      flush          = 5
      margin         = 3
    })
    error_message = "The documents name these numbers."
  }
}

run "the_longest_waits" {
  command = plan

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { response = 285 }
  }

  assert {
    condition = jsonencode([for name in ["balancer_idle", "keep_alive", "drain", "deregistration", "stop"] :
    terraform_data.timeout_chain.input[name]]) == jsonencode([295, 310, 112, 900, 120])
    error_message = "A longer wait must take the rest of the chain with it."
  }
}

run "without_streaming" {
  command = plan

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    response_streaming = false
  }

  assert {
    condition = jsonencode([for name in ["stream", "api_gateway", "balancer_idle", "drain", "deregistration", "stop"] :
    terraform_data.timeout_chain.input[name]]) == jsonencode([25, 29, 60, 33, 45, 60])
    error_message = "Every response must fit into the quota of 29 s."
  }
}

run "a_plain_wait_that_may_be_longer_than_api_gateway_stays_silent" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { response = 286 }
  }
}

run "a_response_timeout_too_close_to_api_gateways" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts           = { response = 27 }
    response_streaming = false
  }
}

run "a_stream_longer_than_api_gateways_timeout" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { api_gateway = 600 }
  }
}

run "a_balancer_timeout_as_short_as_a_wait" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { balancer_idle = 28 }
  }
}

run "a_deregistration_that_cuts_plain_waits" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { deregistration = 28 }
  }
}

run "a_stop_timeout_too_short_for_the_drain" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { stop = 40 }
  }
}

run "a_stop_timeout_above_fargates_maximum" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { stop = 121 }
  }
}

run "a_warning_for_a_workflow_longer_than_the_response_timeout" {
  command         = plan
  expect_failures = [check.workflow_fits_response_timeout]

  variables {
    wait_seconds = 23
  }
}
