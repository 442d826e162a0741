# What others rely on. This applies the whole graph with a mocked provider.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "contract" {
  # Outputs have values, and nothing is public.
  assert {
    condition     = output.api_endpoint == "https://api.execute-api.us-east-1.amazonaws.com/dev"
    error_message = "api_endpoint must be the URL of the stage, so that curl \"$api_endpoint/event\" works."
  }
  assert {
    condition     = output.state_machine_arn == aws_sfn_state_machine.workflow["event"].arn && output.state_machine_arns == { event = output.state_machine_arn }
    error_message = "The ARN that is built from the name must be the state machine's."
  }
  assert {
    condition     = output.connection_arn == local.appsync.connection_arn && output.secretsmanager_arn == local.appsync.api_key_secret
    error_message = "The connection and the secret must be the stack's."
  }
  assert {
    condition     = jsonencode([output.appsync_host, output.appsync_host_realtime]) == jsonencode(["abc.appsync-api.us-east-1.amazonaws.com", "abc.appsync-realtime-api.us-east-1.amazonaws.com"])
    error_message = "The hosts must be plain domain names."
  }
  assert {
    condition = alltrue([for value in [
      output.ecs_service_arn, output.ecs_cluster_name, output.ecr_repository_url, output.log_group_name, output.alb_dns_name, output.dashboard_url,
    ] : length(value) > 0])
    error_message = "Every output must have a value."
  }
  assert {
    condition     = aws_lb.main.internal && !aws_ecs_service.main.network_configuration[0].assign_public_ip
    error_message = "Neither the load balancer nor a task may have a public address."
  }
  assert {
    condition = alltrue([for rule in [aws_vpc_security_group_ingress_rule.balancer_from_link, aws_vpc_security_group_ingress_rule.tasks_from_balancer] :
      rule.cidr_ipv4 == null && rule.referenced_security_group_id != null
    ])
    error_message = "Each security group may admit only the group before it."
  }

  # The service's environment.
  assert {
    condition = jsonencode({ for entry in jsondecode(aws_ecs_task_definition.service.container_definitions)[0].environment : entry.name => entry.value if entry.name != "WORKFLOWS" }) == jsonencode({
      APPSYNC_AUTH         = "iam"
      APPSYNC_HTTP_URL     = "https://abc.appsync-api.us-east-1.amazonaws.com/event"
      APPSYNC_NAMESPACE    = "AsyncEvents"
      APPSYNC_REALTIME_URL = "wss://abc.appsync-realtime-api.us-east-1.amazonaws.com/event/realtime"
      DESCRIBE_QUOTA       = "300/15"
      DRAIN_DELAY          = "5"
      DRAIN_TIMEOUT        = "33"
      EMF_INTERVAL         = "60"
      HISTORY_QUOTA        = "400/20"
      KEEP_ALIVE_TIMEOUT   = "75"
      LIST_QUOTA           = "200/5"
      LOG_FORMAT           = "json"
      LOG_LEVEL            = "INFO"
      MAX_IN_FLIGHT        = "10000"
      ON_CLIENT_GONE       = "keep"
      PORT                 = "8080"
      RESPONSE_TIMEOUT     = "25"
      SERVICE_NAME         = "sync-front"
      STAGE_PREFIX         = "dev"
      STREAM_TIMEOUT       = "890"
    })
    error_message = "The environment must have the values of the variables, and contain no secret."
  }
  assert {
    condition = jsonencode(jsondecode(local.environment.WORKFLOWS)) == jsonencode({ event = {
      path              = "/event"
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"
      input             = "envelope"
      request_schema    = jsondecode(file("../../../request.schema.json"))
    } })
    error_message = "Without workflows, the demonstration must be the only one."
  }
  assert {
    condition = jsonencode({ for secret in jsondecode(aws_ecs_task_definition.service.container_definitions)[0].secrets : secret.name => secret.valueFrom }) == jsonencode({
      ID_SECRETS         = "arn:aws:secretsmanager:us-east-1:123456789012:secret:IdSecrets-AbCdEf"
      IDEMPOTENCY_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:IdempotencySecret-AbCdEf"
    })
    error_message = "ECS must inject the secrets for execution ids, and no other."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.service.container_definitions)[0].image == "123456789012.dkr.ecr.us-east-1.amazonaws.com/sync-front:1.2.3"
    error_message = "The image must be image_tag in the system's own repository."
  }
  assert {
    condition     = strcontains(jsondecode(aws_ecs_task_definition.service.container_definitions)[0].healthCheck.command[4], "/healthz") && aws_lb_target_group.service.health_check[0].path == "/readyz"
    error_message = "ECS must check liveness and the load balancer readiness, not the other way round."
  }

  assert {
    condition     = toset([for field in aws_wafv2_web_acl_logging_configuration.api.redacted_fields : field.single_header[0].name]) == toset(["authorization", "x-amz-security-token", "x-api-key"])
    error_message = "No key or token may be in the log of blocked requests."
  }

  # Rollbacks.
  assert {
    condition     = jsonencode(aws_ecs_service.main.alarms[0].alarm_names) == jsonencode(["sync-front-faults"]) && aws_ecs_service.main.alarms[0].rollback
    error_message = "One alarm must roll a deployment back."
  }
  assert {
    condition     = jsonencode([aws_cloudwatch_metric_alarm.main["faults"].namespace, aws_cloudwatch_metric_alarm.main["faults"].metric_name, aws_cloudwatch_metric_alarm.main["faults"].dimensions]) == jsonencode(["SyncFront", "Faults", { service = "sync-front" }])
    error_message = "It must count what the service itself counts as its faults, and no failed workflows."
  }

  # The workflow.
  assert {
    condition     = jsondecode(aws_sfn_state_machine.workflow["event"].definition).States.Wait.Seconds == "{% 10 %}"
    error_message = "wait_seconds must reach the workflow."
  }
  assert {
    condition = alltrue([for machine in [aws_sfn_state_machine.workflow["event"], aws_sfn_state_machine.relay] :
      jsondecode(machine.definition).States.Publish.Arguments.ApiEndpoint == local.publish_url
      && jsondecode(machine.definition).States.Publish.Arguments.Authentication.ConnectionArn == local.appsync.connection_arn
      && jsondecode(machine.definition).States.Publish.Resource == "arn:aws:states:::http:invoke"
      && machine.logging_configuration[0].level == "ERROR" && !machine.logging_configuration[0].include_execution_data
    ])
    error_message = "The workflow and the relay must publish to the Event API, with the connection, and their data must not be logged."
  }
  assert {
    condition     = aws_sfn_state_machine.workflow["event"].type == "STANDARD" && aws_sfn_state_machine.relay.type == "EXPRESS"
    error_message = "Executions of the workflow must be recorded, and those of the relay must not."
  }

  # The relay.
  assert {
    condition     = keys(aws_cloudwatch_event_rule.ended) == ["envelope"]
    error_message = "Without workflows in mode event, there must be no rule for them."
  }
  assert {
    condition = jsonencode(jsondecode(aws_cloudwatch_event_rule.ended["envelope"].event_pattern)) == jsonencode({
      source        = ["aws.states"]
      "detail-type" = ["Step Functions Execution Status Change"]
      detail = {
        stateMachineArn = [output.state_machine_arn]
        status          = ["ABORTED", "FAILED", "TIMED_OUT"]
        name            = [{ prefix = "exec-" }]
      }
    })
    error_message = "The rule must match the unsuccessful ends of executions that the service started, and no others."
  }
  assert {
    condition     = aws_cloudwatch_event_target.ended["envelope"].arn == aws_sfn_state_machine.relay.arn && length(aws_cloudwatch_event_target.ended["envelope"].input_transformer) + length(aws_cloudwatch_event_target.ended["envelope"].dead_letter_config) == 0
    error_message = "EventBridge must start the relay with the whole event, and keep none."
  }
  assert {
    condition     = strcontains(jsondecode(aws_sfn_state_machine.relay.definition).States.Publish.Arguments.RequestBody.channel, "'AsyncEvents/ended/'")
    error_message = "The relay must publish in the namespace of the service."
  }

  # The timeout chain.
  assert {
    condition = jsonencode([
      local.environment.RESPONSE_TIMEOUT,
      local.environment.STREAM_TIMEOUT,
      local.integrations["post /event"].timeoutInMillis / 1000,
      aws_lb.main.idle_timeout,
      local.environment.KEEP_ALIVE_TIMEOUT,
      tonumber(aws_lb_target_group.service.deregistration_delay),
      local.environment.DRAIN_TIMEOUT,
      jsondecode(aws_ecs_task_definition.service.container_definitions)[0].stopTimeout,
    ]) == jsonencode([25, 890, 900, 60, 75, 900, 33, 60])
    error_message = "Each layer must get its timeout."
  }
}
