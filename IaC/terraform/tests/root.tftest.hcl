# What the root adds to the module: the provider, and the same variables and outputs.
mock_provider "aws" {
  source = "./modules/sync-front/tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "outputs" {
  assert {
    condition     = output.api_endpoint == "https://api.execute-api.us-east-1.amazonaws.com/dev" && output.state_machine_arn == "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"
    error_message = "The outputs must be those of the module."
  }
}

run "an_invalid_region" {
  command         = plan
  expect_failures = [var.region]

  variables {
    region = "Virginia"
  }
}
