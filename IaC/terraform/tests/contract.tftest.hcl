# The whole graph applied with a provider that is mocked: what goes in, what comes out, and what must hold in between.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "whole_system" {
  command = apply

  assert {
    condition     = output.api_endpoint == "https://api.execute-api.us-east-1.amazonaws.com/dev"
    error_message = "api_endpoint must be the stage's URL, for which curl \"$api_endpoint/event\" works."
  }
  assert {
    condition     = output.state_machine_arn == local.state_machine_arn
    error_message = "The ARN built from the name must be the one of the machine."
  }
  assert {
    condition = alltrue([for value in [
      output.connection_arn, output.appsync_host, output.appsync_host_realtime, output.secretsmanager_arn,
      output.ecs_service_arn, output.ecr_repository_url, output.log_group_name, output.alb_dns_name,
    ] : length(value) > 0])
    error_message = "Every output must be filled."
  }
  assert {
    condition     = aws_lb.main.internal && aws_ecs_service.main.network_configuration[0].assign_public_ip == false
    error_message = "Balancer and tasks must have no public address."
  }
}
