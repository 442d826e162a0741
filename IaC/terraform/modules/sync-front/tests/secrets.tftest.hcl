# The API keys: their expiry, and the parameters that each step of a rotation gives to the stack.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "one_key_that_is_valid_for_almost_a_year" {
  plan_options {
    target = [aws_cloudformation_stack.appsync, aws_cloudwatch_metric_alarm.api_key_expires]
  }

  assert {
    condition     = aws_cloudformation_stack.appsync.parameters.ActiveKey == "a" && aws_cloudformation_stack.appsync.parameters.KeepOtherKey == "false"
    error_message = "There must be one key, a."
  }
  assert {
    # The expiry is at midnight: at most one day before the 364 days are over.
    condition     = timecmp(timeadd("1970-01-01T00:00:00Z", "${aws_cloudformation_stack.appsync.parameters.KeyAExpires}s"), output.appsync_api_key_expiry["a"]) <= 0 && timecmp(timeadd("1970-01-01T00:00:00Z", "${aws_cloudformation_stack.appsync.parameters.KeyAExpires + 86400}s"), output.appsync_api_key_expiry["a"]) > 0
    error_message = "The seconds since 1970 must be midnight of the day of the expiry."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.api_key_expires.threshold == tonumber(aws_cloudformation_stack.appsync.parameters.KeyAExpires) - 30 * 24 * 3600
    error_message = "The alarm must start 30 days before the expiry."
  }
  assert {
    condition     = !can(regex("da2-", jsonencode(aws_cloudformation_stack.appsync.parameters)))
    error_message = "The parameters must not contain a key."
  }
}

run "the_next_key_while_the_old_one_is_valid" {
  plan_options {
    target = [aws_cloudformation_stack.appsync, aws_cloudwatch_metric_alarm.api_key_expires]
  }

  variables {
    appsync_api_keys = ["b", "a"]
  }

  assert {
    condition     = aws_cloudformation_stack.appsync.parameters.ActiveKey == "b" && aws_cloudformation_stack.appsync.parameters.KeepOtherKey == "true"
    error_message = "b must be in use and a still valid."
  }
}

run "the_next_key_alone" {
  plan_options {
    target = [aws_cloudformation_stack.appsync, aws_cloudwatch_metric_alarm.api_key_expires]
  }

  variables {
    appsync_api_keys = ["b"]
  }

  assert {
    condition     = aws_cloudformation_stack.appsync.parameters.ActiveKey == "b" && aws_cloudformation_stack.appsync.parameters.KeepOtherKey == "false" && aws_cloudformation_stack.appsync.parameters.KeyAExpires == "0"
    error_message = "a must be deleted."
  }
}
