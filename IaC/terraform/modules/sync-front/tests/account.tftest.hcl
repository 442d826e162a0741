# What an account may prescribe or want otherwise.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "without_these_options" {
  command = plan

  assert {
    condition     = aws_ecs_service.main.launch_type == "FARGATE" && length(aws_ecs_service.main.capacity_provider_strategy) + length(aws_ecs_cluster_capacity_providers.main) == 0
    error_message = "All tasks must run on Fargate, without providers of capacity."
  }
  assert {
    condition     = !aws_ecs_service.main.wait_for_steady_state && !aws_ecs_service.main.enable_execute_command
    error_message = "An apply must not wait, and nobody may run commands in tasks."
  }
  assert {
    condition     = length(aws_kms_key.main) == 1 && length(aws_api_gateway_domain_name.main) == 0 && output.custom_domain_target == null
    error_message = "The key must be the system's own, and the API's name that of API Gateway."
  }
}

run "all_of_them" {
  variables {
    kms_key_arn              = "arn:aws:kms:us-east-1:123456789012:key/99999999-0000-0000-0000-000000000000"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    wait_for_steady_state    = true
    enable_execute_command   = true
    fargate_spot_percent     = 70
    custom_domain = {
      domain_name     = "events.example.com"
      certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
      hosted_zone_id  = "Z0123456789"
    }
  }

  assert {
    condition = length(aws_kms_key.main) + length(aws_kms_alias.main) == 0 && toset(concat(
      [for group in aws_cloudwatch_log_group.main : group.kms_key_id],
      [aws_ecr_repository.service.encryption_configuration[0].kms_key, aws_cloudformation_stack.appsync.parameters.KmsKeyArn],
      [for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "DecryptSecrets"],
    )) == toset([var.kms_key_arn])
    error_message = "The given key must encrypt everything, and no other may be created."
  }
  assert {
    condition = alltrue([for role in concat(
      [aws_iam_role.task, aws_iam_role.execution, aws_iam_role.workflow["event"], aws_iam_role.relay, aws_iam_role.ended, aws_iam_role.appsync_logs], aws_iam_role.api_logs, aws_iam_role.flow_logs,
    ) : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "Every role must have the boundary."
  }
  assert {
    condition     = aws_ecs_service.main.wait_for_steady_state && aws_ecs_service.main.enable_execute_command
    error_message = "The options of the service must be set."
  }
  assert {
    condition = !jsondecode(aws_ecs_task_definition.service.container_definitions)[0].readonlyRootFilesystem && toset(flatten([for statement in jsondecode(aws_iam_role_policy.task.policy).Statement : statement.Action if statement.Sid == "ExecuteCommand"])) == toset([
      "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])
    error_message = "The agent of ECS Exec needs these permissions, and a file system that it can write to."
  }
  assert {
    condition     = aws_ecs_service.main.launch_type != "FARGATE" && jsonencode({ for provider in aws_ecs_service.main.capacity_provider_strategy : provider.capacity_provider => [provider.base, provider.weight] }) == jsonencode({ FARGATE = [1, 30], FARGATE_SPOT = [0, 70] })
    error_message = "One task must run on Fargate, and of the others 70 percent on Spot."
  }
  assert {
    condition     = aws_ecs_cluster_capacity_providers.main[0].capacity_providers == toset(["FARGATE", "FARGATE_SPOT"])
    error_message = "The cluster must have the providers of capacity that the service uses."
  }
  assert {
    condition     = output.api_endpoint == "https://events.example.com/dev" && aws_api_gateway_base_path_mapping.main[0].base_path == "dev"
    error_message = "The path must begin with the stage, as the Location of a 202 does."
  }
  assert {
    condition     = aws_route53_record.main[0].alias[0].name == output.custom_domain_target.domain_name
    error_message = "The record must point to the name of the API in API Gateway."
  }
}

run "a_domain_without_a_hosted_zone" {
  command = plan

  plan_options {
    target = [aws_api_gateway_base_path_mapping.main, aws_route53_record.main]
  }

  variables {
    custom_domain = { domain_name = "events.example.com", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1" }
  }

  assert {
    condition     = length(aws_api_gateway_domain_name.main) == 1 && length(aws_route53_record.main) == 0
    error_message = "The record is then someone else's."
  }
}
