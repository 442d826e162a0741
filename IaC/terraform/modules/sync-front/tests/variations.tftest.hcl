# Each option takes effect.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "all_options_at_once" {
  variables {
    image_tag                  = null
    image_uri                  = "registry.example:5000/team/sync-front@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    timeouts                   = { response = 20, drain = 30 }
    response_streaming         = false
    max_in_flight              = 1234
    cors_origins               = ["https://app.example", "https://other.example:8443"]
    stage_name                 = "live"
    wait_seconds               = 7
    appsync_auth               = "api_key"
    id_secrets                 = ["b", "a"]
    api_authorization          = "AWS_IAM"
    internal_tls               = { certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1", domain_name = "events.internal.example.com" }
    existing_vpc               = { id = "vpc-0123456789abcdef0", private_subnet_ids = ["subnet-1", "subnet-2"] }
    manage_api_gateway_account = false
    caller_share               = 0.25
    caller_rate                = "100/20"
  }

  assert {
    condition     = jsonencode([for name in ["RESPONSE_TIMEOUT", "DRAIN_TIMEOUT", "MAX_IN_FLIGHT", "STAGE_PREFIX", "CALLER_SHARE", "CALLER_RATE"] : { for entry in jsondecode(aws_ecs_task_definition.service.container_definitions)[0].environment : entry.name => entry.value }[name]]) == jsonencode(["20", "30", "1234", "live", "0.25", "100/20"])
    error_message = "The variables must reach the service."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.service.container_definitions)[0].image == var.image_uri
    error_message = "image_uri must be used as it is."
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "Pull"]) == aws_ecr_repository.service.arn
    error_message = "Other registries than ECR need no permission to pull."
  }
  assert {
    condition     = jsondecode(aws_sfn_state_machine.workflow["event"].definition).States.Wait.Seconds == "{% 7 %}"
    error_message = "wait_seconds must reach the workflow."
  }
  assert {
    condition     = alltrue([for integration in local.integrations : integration.timeoutInMillis == 29000 && !can(integration.responseTransferMode)]) && local.environment.STREAM_TIMEOUT == 20
    error_message = "Without streaming, every response has to fit into the quota, streams included."
  }
  assert {
    condition = alltrue([for path, methods in jsondecode(aws_api_gateway_rest_api.main.body).paths :
      methods.options["x-amazon-apigateway-integration"].httpMethod == "OPTIONS"
      && endswith(methods.options["x-amazon-apigateway-integration"].uri, path)
      && !can(methods.options.security)
    ])
    error_message = "Preflight requests must reach the service, without a signature."
  }
  assert {
    condition     = local.environment.CORS_ORIGINS == "https://app.example,https://other.example:8443" && local.api_document["x-amazon-apigateway-gateway-responses"].THROTTLED.responseParameters["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
    error_message = "The origins must reach the service, and pages must be able to read API Gateway's own errors."
  }
  assert {
    condition     = length(aws_api_gateway_account.logs) + length(aws_iam_role.api_logs) == 0
    error_message = "The account's setting must not be changed."
  }
  assert {
    condition     = length(aws_vpc.main) + length(aws_nat_gateway.main) + length(aws_subnet.private) + length(aws_flow_log.rejected) == 0
    error_message = "With an existing network, none may be created."
  }
  assert {
    condition     = aws_lb.main.subnets == toset(["subnet-1", "subnet-2"]) && aws_security_group.tasks.vpc_id == "vpc-0123456789abcdef0"
    error_message = "The existing network must be used."
  }
  assert {
    condition     = alltrue(flatten([for path in values(local.api_document.paths) : [for name, method in path : jsonencode(method.security) == jsonencode([{ sigv4 = [] }]) if name != "options"]]))
    error_message = "With AWS_IAM, every method must require a signature."
  }
  assert {
    condition     = keys(local.api_document.components.securitySchemes) == ["sigv4"] && local.api_document.components.securitySchemes.sigv4["x-amazon-apigateway-authtype"] == "awsSigv4"
    error_message = "The security scheme must be API Gateway's own."
  }
  assert {
    condition = jsonencode({ for route, integration in local.integrations : route => try(integration.requestParameters["integration.request.header.X-Caller-Id"], null) }) == jsonencode({
      "post /event"               = "context.identity.userArn"
      "get /event/{id}"           = "context.identity.userArn"
      "delete /event/{id}"        = "context.identity.userArn"
      "post /event/{id}/retry"    = "context.identity.userArn"
      "options /event"            = null
      "options /event/{id}"       = null
      "options /event/{id}/retry" = null
    }) && local.environment.CALLER_HEADER == "X-Caller-Id"
    error_message = "API Gateway must tell the service which principal signed the request, in the header that the service reads."
  }
  assert {
    condition     = aws_lb_listener.service.port == 443 && aws_lb_listener.service.protocol == "HTTPS" && startswith(aws_lb_listener.service.ssl_policy, "ELBSecurityPolicy-TLS13")
    error_message = "The listener must use TLS 1.2 or newer."
  }
  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.main.body).paths["/event"].post["x-amazon-apigateway-integration"].uri == "https://events.internal.example.com/event"
    error_message = "API Gateway must connect to the name in the certificate."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.balancer_from_link.from_port == 443 && aws_vpc_security_group_egress_rule.link_to_balancer.to_port == 443
    error_message = "The security groups must admit the TLS port."
  }
  assert {
    condition     = aws_cloudformation_stack.appsync.parameters.SubscriberAuth == "API_KEY" && local.environment.APPSYNC_AUTH == "api_key" && local.environment.APPSYNC_API_KEY_SECRET == local.appsync.api_key_secret
    error_message = "Subscribers must use the key, which the service reads itself."
  }
  assert {
    condition = jsonencode(slice(jsondecode(aws_iam_role_policy.task.policy).Statement, 2, length(jsondecode(aws_iam_role_policy.task.policy).Statement))) == jsonencode([
      { Sid = "ReadApiKey", Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ApiKeySecret-AbCdEf" },
      { Sid = "DecryptSecrets", Effect = "Allow", Action = "kms:Decrypt", Resource = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000", Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.us-east-1.amazonaws.com" } } },
    ])
    error_message = "The task may read the key, and nothing else of AppSync."
  }
  assert {
    condition     = aws_cloudformation_stack.appsync.parameters.FirstIdSecret == "b" && aws_cloudformation_stack.appsync.parameters.KeepOtherIdSecret == "true" && jsondecode(aws_ecs_task_definition.service.container_definitions)[0].dockerLabels.id-secrets == "b a"
    error_message = "The second secret must tag ids, and the tasks must be new, because only new ones read the list."
  }
}

run "a_nat_gateway_in_each_of_three_zones" {
  command = plan

  plan_options {
    target = [aws_route_table_association.private, aws_nat_gateway.main]
  }

  variables {
    nat_gateway_per_zone = true
    zone_count           = 3
  }

  assert {
    condition     = length(aws_nat_gateway.main) == 3 && length(aws_subnet.private) == 3 && length(distinct([for subnet in concat(values(aws_subnet.private), values(aws_subnet.public)) : subnet.cidr_block])) == 6
    error_message = "Three zones need three gateways and six different subnets."
  }
}

run "an_image_in_a_repository_of_another_account_and_region" {
  plan_options {
    target = [aws_iam_role_policy.execution]
  }

  variables {
    image_tag = null
    image_uri = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/sync-front:1.2.3"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "Pull"]) == "arn:aws:ecr:eu-west-1:210987654321:repository/team/sync-front"
    error_message = "ECS must be allowed to pull the image that the task names."
  }
}

run "an_image_by_digest_at_the_dual_stack_address_of_ecr" {
  plan_options {
    target = [aws_iam_role_policy.execution]
  }

  variables {
    image_tag = null
    image_uri = "210987654321.dkr-ecr.us-west-2.on.aws/sync-front@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "Pull"]) == "arn:aws:ecr:us-west-2:210987654321:repository/sync-front"
    error_message = "The digest is no part of the repository's name."
  }
}

run "an_image_in_public_ecr" {
  plan_options {
    target = [aws_iam_role_policy.execution]
  }

  variables {
    image_tag = null
    image_uri = "public.ecr.aws/team/sync-front:1.2.3"
  }

  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "Pull"]) == aws_ecr_repository.service.arn
    error_message = "Public repositories need no permission to pull."
  }
}

run "limits_for_one_address_that_fit_the_rate_of_the_api" {
  command = plan

  plan_options {
    target = [aws_wafv2_web_acl.api]
  }

  variables {
    api_throttle = { rate = 20.5, burst = 50 }
  }

  assert {
    condition     = [for rule in aws_wafv2_web_acl.api.rule : rule.statement[0].rate_based_statement[0].limit if rule.name == "requests-per-address"][0] == 6150
    error_message = "One address must be able to use the rate of the API: 20.5 a second for five minutes."
  }
  assert {
    condition     = toset([for override in [for rule in aws_wafv2_web_acl.api.rule : rule.statement[0].managed_rule_group_statement[0].rule_action_override if rule.name == "AWSManagedRulesCommonRuleSet"][0] : override.name]) == toset(["NoUserAgent_HEADER", "SizeRestrictions_BODY"])
    error_message = "Programs that send no User-Agent, and bodies of up to 256 KiB, must not be blocked."
  }
}

run "a_limit_of_its_own_for_one_address" {
  command = plan

  plan_options {
    target = [aws_wafv2_web_acl.api]
  }

  variables {
    waf_requests_per_ip = 2000
  }

  assert {
    condition     = [for rule in aws_wafv2_web_acl.api.rule : rule.statement[0].rate_based_statement[0].limit if rule.name == "requests-per-address"][0] == 2000
    error_message = "waf_requests_per_ip must be used."
  }
}

run "the_largest_task" {
  command = plan

  plan_options {
    target = [aws_ecs_task_definition.service]
  }

  variables {
    task_size               = { cpu = 1024, memory = 7168 }
    read_foreign_executions = true
  }

  assert {
    condition     = aws_ecs_task_definition.service.memory == "7168"
    error_message = "Fargate has 1024 CPU units with any whole GB from 2 to 8."
  }
  assert {
    condition     = local.environment.READ_FOREIGN_EXECUTIONS
    error_message = "Without callers, the service may read executions that it did not start."
  }
}
