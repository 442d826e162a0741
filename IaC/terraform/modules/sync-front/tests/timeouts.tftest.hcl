# A plan with a broken timeout chain must fail. contract.tftest.hcl checks that the timeouts reach every layer.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "a_longer_but_valid_chain" {
  command = plan

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { response = 50, api_gateway = 55, deregistration = 70, drain = 60, stop = 80 }
  }

  assert {
    condition     = terraform_data.timeout_chain.input.response == 50
    error_message = "A valid chain must be accepted."
  }
}

run "a_response_timeout_too_close_to_api_gateways" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { response = 27 }
  }
}

run "an_api_gateway_timeout_as_long_as_the_balancers" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { api_gateway = 60, deregistration = 70 }
  }
}

run "a_balancer_timeout_as_long_as_the_services_keep_alive" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { balancer_idle = 75 }
  }
}

run "a_drain_too_short_for_the_last_request" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { drain = 25 }
  }
}

run "a_deregistration_as_short_as_api_gateways_timeout" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    timeouts = { deregistration = 29 }
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
