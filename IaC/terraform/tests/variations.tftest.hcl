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
    max_in_flight              = 1234
    cors_origins               = ["https://app.example", "https://other.example:8443"]
    stage_name                 = "live"
    wait_seconds               = 7
    appsync_auth               = "iam"
    api_authorization          = "AWS_IAM"
    internal_tls               = { certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1", domain_name = "events.internal.example.com" }
    existing_vpc               = { id = "vpc-0123456789abcdef0", private_subnet_ids = ["subnet-1", "subnet-2"] }
    manage_api_gateway_account = false
  }

  assert {
    condition     = jsonencode([for name in ["RESPONSE_TIMEOUT", "DRAIN_TIMEOUT", "MAX_IN_FLIGHT", "STAGE_PREFIX"] : { for entry in jsondecode(aws_ecs_task_definition.service.container_definitions)[0].environment : entry.name => entry.value }[name]]) == jsonencode(["20", "30", "1234", "live"])
    error_message = "The variables must reach the service."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.service.container_definitions)[0].image == var.image_uri
    error_message = "image_uri must be used as it is."
  }
  assert {
    condition     = jsondecode(aws_sfn_state_machine.workflow.definition).States.Wait.Seconds == "{% 7 %}"
    error_message = "wait_seconds must reach the workflow."
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
    condition     = local.api_document.components.securitySchemes.sigv4["x-amazon-apigateway-authtype"] == "awsSigv4"
    error_message = "The security scheme must be API Gateway's own."
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
    condition     = aws_cloudformation_stack.appsync.parameters.SubscriberAuth == "AWS_IAM" && local.environment.APPSYNC_AUTH == "iam" && !can(local.environment.APPSYNC_API_KEY_SECRET)
    error_message = "Subscribers must use IAM and have no key."
  }
  assert {
    condition = jsonencode(slice(jsondecode(aws_iam_role_policy.task.policy).Statement, 2, length(jsondecode(aws_iam_role_policy.task.policy).Statement))) == jsonencode([
      { Sid = "Connect", Effect = "Allow", Action = "appsync:EventConnect", Resource = "arn:aws:appsync:us-east-1:123456789012:apis/api123" },
      { Sid = "Subscribe", Effect = "Allow", Action = "appsync:EventSubscribe", Resource = "arn:aws:appsync:us-east-1:123456789012:apis/api123/channelNamespace/AsyncEvents" },
    ])
    error_message = "The task may subscribe, but neither publish nor read the key."
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
