# The chain refuses to be broken. That it reaches every layer is part of the contract.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "a_longer_chain_that_holds" {
  command = plan

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { response = 50, api_gateway = 55, deregistration = 70, drain = 60, stop = 80 }
  }

  assert {
    condition     = terraform_data.timeout_chain.input.response == 50
    error_message = "It must be taken."
  }
}

run "a_wait_as_long_as_the_gateways" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { response = 27 }
  }
}

run "a_gateway_that_outlasts_the_balancer" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { api_gateway = 60, deregistration = 70 }
  }
}

run "a_balancer_that_outlasts_the_services_connections" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { balancer_idle = 75 }
  }
}

run "a_drain_shorter_than_the_wait" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { drain = 25 }
  }
}

run "a_deregistration_that_cuts_requests" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { deregistration = 29 }
  }
}

run "a_kill_before_the_drain_ends" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { stop = 40 }
  }
}

run "a_stop_longer_than_fargate_allows" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { stop = 121 }
  }
}

run "a_workflow_longer_than_the_wait_is_pointed_out" {
  command         = plan
  expect_failures = [check.workflow_fits_into_the_wait]

  variables {
    wait_seconds = 23
  }
}
