# Invalid values, which would fail in the middle of an apply or not at all. The plan must refuse them.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "an_invalid_value_of_each_variable" {
  command = plan
  expect_failures = [
    var.workflow_name,
    var.service_name,
    var.image_tag,
    var.wait_seconds,
    var.timeouts,
    var.stage_name,
    var.api_authorization,
    var.cors_origins,
    var.api_throttle,
    var.waf_requests_per_ip,
    var.existing_vpc,
    var.vpc_cidr,
    var.zone_count,
    var.internal_tls,
    var.cpu_architecture,
    var.task_size,
    var.task_count,
    var.max_in_flight,
    var.caller_share,
    var.on_client_gone,
    var.log_level,
    var.log_retention_days,
    var.appsync_namespace,
    var.appsync_auth,
    var.appsync_api_keys,
    var.id_secrets,
    var.step_functions_quotas,
    var.alarm_topic_arns,
    var.custom_domain,
    var.fargate_spot_percent,
    var.permissions_boundary_arn,
    var.kms_key_arn,
  ]

  variables {
    workflow_name         = "bad name!"
    service_name          = "internal-front"
    image_tag             = "latest"
    wait_seconds          = 241
    timeouts              = { drain = 0 }
    stage_name            = "a/b"
    api_authorization     = "OPEN"
    cors_origins          = ["https://app.example/"]
    api_throttle          = { rate = 100, burst = 50 }
    waf_requests_per_ip   = 5
    existing_vpc          = { id = "vpc-1", private_subnet_ids = ["subnet-1"] }
    vpc_cidr              = "10.0.0.0/28"
    zone_count            = 1
    internal_tls          = { certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1", domain_name = "localhost" }
    cpu_architecture      = "RISCV"
    task_size             = { cpu = 512, memory = 512 }
    task_count            = { min = 3, max = 2 }
    max_in_flight         = 100000
    caller_share          = 0
    on_client_gone        = "forget"
    log_level             = "TRACE"
    log_retention_days    = 2
    appsync_namespace     = "Async_Events"
    appsync_auth          = "none"
    appsync_api_keys      = ["a", "a"]
    id_secrets            = ["a", "b", "c"]
    step_functions_quotas = { describe = "300" }
    alarm_topic_arns      = ["on-call"]

    custom_domain            = { domain_name = "localhost", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1" }
    fargate_spot_percent     = 101
    permissions_boundary_arn = "boundary"
    kms_key_arn              = "arn:aws:kms:us-east-1:123456789012:alias/mine"
  }
}

# Other values of some variables. A run costs seconds, so each has several.
run "no_image_and_what_api_keys_do_not_go_with" {
  command = plan
  expect_failures = [
    var.service_name,
    var.wait_seconds,
    var.image_uri,
    var.task_size,
    var.api_authorizer_arn,
    var.api_usage_plans,
    var.api_scopes,
    var.api_caller,
    var.caller_rate,
    var.read_foreign_executions,
  ]

  variables {
    service_name = "a-name-of-more-than-24-letters"
    wait_seconds = 1.5
    image_tag    = null
    task_size    = { cpu = 256, memory = 1536 } # no step of this cpu

    api_authorization  = "API_KEY"
    api_authorizer_arn = "arn:aws:lambda:us-east-1:123456789012:function:authorizer"
    api_usage_plans    = { plan = { rate = 1, burst = 1, keys = [] } }
    api_scopes         = ["events/write"]
    api_caller         = "context.identity.userAgent"

    caller_rate             = "20"
    read_foreign_executions = true
  }
}

run "an_image_without_a_version_and_a_caller_who_proves_nothing" {
  command         = plan
  expect_failures = [var.image_uri, var.task_size, var.api_caller, var.caller_rate]

  variables {
    image_tag  = null
    image_uri  = "registry.example/sync-front"
    task_size  = { cpu = 512, memory = 1500 } # between two steps
    api_caller = "context.identity.apiKeyId"  # with NONE

    caller_rate = "100/20"
  }
}

run "two_images_and_a_function_as_user_pool" {
  command         = plan
  expect_failures = [var.image_uri, var.task_size, var.api_usage_plans, var.api_authorizer_arn]

  variables {
    image_uri          = "registry.example/sync-front:1.2.3"
    task_size          = { cpu = 512, memory = 8192 } # too large for this cpu
    api_authorization  = "COGNITO"
    api_authorizer_arn = "arn:aws:lambda:us-east-1:123456789012:function:authorizer"
    api_usage_plans    = { plan = { rate = 0, burst = 1, keys = ["key"] } }
  }
}

run "a_subnet_in_a_zone_without_vpc_links" {
  command         = plan
  expect_failures = [aws_apigatewayv2_vpc_link.main]

  plan_options {
    target = [aws_apigatewayv2_vpc_link.main]
  }

  variables {
    existing_vpc = { id = "vpc-0123456789abcdef0", private_subnet_ids = ["subnet-1", "subnet-2"] }
  }

  override_data {
    target = data.aws_subnet.existing[1]
    values = { availability_zone_id = "cac1-az4" }
  }
}
