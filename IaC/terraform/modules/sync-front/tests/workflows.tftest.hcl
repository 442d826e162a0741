# Several workflows: the demonstration, one from a definition of one's own, and an alias of a state machine that exists.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"

  workflows = {
    event = {
      definition     = "../../../workflow.asl.json"
      request_schema = "../../../request.schema.json"
    }
    three-steps = {
      definition      = "../../../../examples/three-steps.asl.json"
      definition_vars = { wait_seconds = "1" }
      request_schema  = "../../../../examples/three-steps.schema.json"
      role_statements = [{
        actions   = ["sqs:SendMessage"]
        resources = ["arn:aws:sqs:us-east-1:123456789012:orders"]
        condition = { StringEquals = { "aws:SourceAccount" = ["123456789012"] } }
      }]
    }
    orders = {
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:orders:PROD"
      path              = "/v1/orders"
      input             = "event"
      result_schema     = "../../../../examples/three-steps.schema.json"
      check_results     = true
      response_timeout  = 120
      stream_timeout    = 600
      max_in_flight     = 2000
      on_client_gone    = "stop"
      progress          = "states"
      errors            = { OutOfStock = 409, "Validation*" = 422 }
    }
  }
}

run "several_workflows" {
  # The service.
  assert {
    condition = jsonencode(jsondecode(local.environment.WORKFLOWS)) == jsonencode({
      event = {
        path              = "/event"
        state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"
        input             = "envelope"
        request_schema    = jsondecode(file("../../../request.schema.json"))
      }
      three-steps = {
        path              = "/three-steps"
        state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:sync-front-workflow-three-steps"
        input             = "envelope"
        request_schema    = jsondecode(file("../../../../examples/three-steps.schema.json"))
      }
      orders = {
        path              = "/v1/orders"
        state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:orders:PROD"
        input             = "event"
        result_schema     = jsondecode(file("../../../../examples/three-steps.schema.json"))
        check_results     = true
        response_timeout  = 120
        stream_timeout    = 600
        max_in_flight     = 2000
        on_client_gone    = "stop"
        progress          = "states"
        errors            = { OutOfStock = 409, "Validation*" = 422 }
      }
    })
    error_message = "The setting must have each workflow, with its schemas in it, and nothing that is left out."
  }
  assert {
    condition     = output.state_machine_arn == output.state_machine_arns.event && output.state_machine_arns.orders == "arn:aws:states:us-east-1:123456789012:stateMachine:orders:PROD"
    error_message = "The outputs must name the state machine of each workflow."
  }

  # The state machines that are made, each with a role of its own.
  assert {
    condition     = { for name, machine in aws_sfn_state_machine.workflow : name => machine.name } == { event = "event-workflow", three-steps = "sync-front-workflow-three-steps" }
    error_message = "Only definitions become state machines, and the first one keeps its name."
  }
  assert {
    condition     = { for name, role in aws_iam_role.workflow : name => role.name } == { event = "sync-front-workflow", three-steps = "sync-front-workflow-three-steps" }
    error_message = "Each state machine must have a role, and the first one keeps its name."
  }
  assert {
    condition = (jsondecode(aws_sfn_state_machine.workflow["three-steps"].definition).States.Reply.Arguments.ApiEndpoint == local.publish_url
    && strcontains(aws_sfn_state_machine.workflow["three-steps"].definition, "{% 1 %}"))
    error_message = "The template's variables must be those of the module and of the workflow."
  }
  assert {
    condition = jsonencode(slice(jsondecode(aws_iam_role_policy.workflow["three-steps"].policy).Statement, 5, 6)) == jsonencode([{
      Effect    = "Allow"
      Action    = ["sqs:SendMessage"]
      Resource  = ["arn:aws:sqs:us-east-1:123456789012:orders"]
      Condition = { StringEquals = { "aws:SourceAccount" = ["123456789012"] } }
    }])
    error_message = "A state machine may do what role_statements says."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.workflow["three-steps"].policy).Statement[0].Resource == output.state_machine_arns.three-steps && length(jsondecode(aws_iam_role_policy.workflow["event"].policy).Statement) == 5
    error_message = "Each state machine may publish as itself, and only one has more statements."
  }

  # The task role.
  assert {
    condition = jsonencode([for statement in slice(jsondecode(aws_iam_role_policy.task.policy).Statement, 0, 2) : statement.Resource]) == jsonencode([
      [
        "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow",
        "arn:aws:states:us-east-1:123456789012:stateMachine:orders",
        "arn:aws:states:us-east-1:123456789012:stateMachine:sync-front-workflow-three-steps",
        "arn:aws:states:us-east-1:123456789012:stateMachine:orders:PROD",
      ],
      [
        "arn:aws:states:us-east-1:123456789012:execution:event-workflow:*",
        "arn:aws:states:us-east-1:123456789012:execution:orders:*",
        "arn:aws:states:us-east-1:123456789012:execution:sync-front-workflow-three-steps:*",
      ],
    ])
    error_message = "The service may use these state machines, the alias and their executions, and no others."
  }

  # The rules.
  assert {
    condition = jsonencode({ for mode, rule in aws_cloudwatch_event_rule.ended : rule.name => {
      machines = jsondecode(rule.event_pattern).detail.stateMachineArn
      statuses = jsondecode(rule.event_pattern).detail.status
      name     = jsondecode(rule.event_pattern).detail.name
      } }) == jsonencode({
      sync-front-ended = {
        machines = [output.state_machine_arns.event, output.state_machine_arns.three-steps]
        statuses = ["ABORTED", "FAILED", "TIMED_OUT"]
        name     = [{ prefix = "exec-" }]
      }
      sync-front-ended-event = {
        machines = ["arn:aws:states:us-east-1:123456789012:stateMachine:orders"]
        statuses = ["ABORTED", "FAILED", "SUCCEEDED", "TIMED_OUT"]
        name     = [{ prefix = "exec-" }]
      }
    })
    error_message = "There must be a rule for each mode. Events name no alias, and successes are reported in mode event only."
  }
  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.ended : target.arn == aws_sfn_state_machine.relay.arn]) && length(aws_cloudwatch_event_target.ended) == 2
    error_message = "Both rules must start the relay."
  }

  # The API.
  assert {
    condition = jsonencode({ for path, methods in jsondecode(aws_api_gateway_rest_api.main.body).paths : path => sort(keys(methods)) if !strcontains(path, "{id}") }) == jsonencode({
      "/event" = ["post"], "/three-steps" = ["post"], "/v1/orders" = ["post"]
    })
    error_message = "Each workflow must have its path."
  }
  assert {
    condition = alltrue([for path in ["/three-steps", "/v1/orders"] : jsonencode({ for suffix, methods in local.routes : suffix => keys(jsondecode(aws_api_gateway_rest_api.main.body).paths["${path}${suffix}"]) })
      == jsonencode({ for suffix, methods in local.routes : suffix => keys(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event${suffix}"]) })
    ])
    error_message = "Each workflow must have the same routes."
  }
  assert {
    condition     = length(distinct(values(local.operations)[*].id)) == length(local.operations) && local.operations["post /three-steps"].id == "createThreeXsteps"
    error_message = "Each operation must have a name of its own."
  }
  assert {
    condition     = endswith(local.integrations["get /v1/orders/{id}"].uri, "/v1/orders/{id}")
    error_message = "A request must reach the service with the path of its workflow."
  }
  assert {
    condition     = keys(local.models) == ["Event"] && !can(jsondecode(aws_api_gateway_rest_api.main.body).paths["/three-steps"].post.requestBody)
    error_message = "API Gateway can check bodies by schemas of draft 4 only."
  }

  # Alarms and dashboard.
  assert {
    condition = jsonencode({ for name, alarm in aws_cloudwatch_metric_alarm.main : name => alarm.dimensions if startswith(name, "workflow-failed") }) == jsonencode({
      workflow-failed             = { StateMachineArn = output.state_machine_arns.event }
      workflow-failed-orders      = { StateMachineArn = "arn:aws:states:us-east-1:123456789012:stateMachine:orders" }
      workflow-failed-three-steps = { StateMachineArn = output.state_machine_arns.three-steps }
    })
    error_message = "There must be an alarm for each workflow, and metrics name no alias."
  }
  assert {
    condition     = endswith(aws_cloudwatch_metric_alarm.main["workflow-failed-orders"].alarm_description, "#workflow-failed") && aws_cloudwatch_metric_alarm.main["relay-not-started-event"].dimensions.RuleName == "sync-front-ended-event"
    error_message = "All of them must lead to one entry of the runbook, and both rules must be watched."
  }
  assert {
    condition     = alltrue([for name in ["event", "orders", "three-steps"] : strcontains(aws_cloudwatch_dashboard.main.dashboard_body, "Executions of ${name}")])
    error_message = "The dashboard must show each workflow."
  }

  # The timeout chain.
  assert {
    condition     = jsonencode([local.timeouts.response, aws_lb.main.idle_timeout, local.timeouts.drain, local.timeouts.longest]) == jsonencode([25, 130, 112, 890])
    error_message = "The longest wait of a workflow must take the chain with it, and no other workflow."
  }
}

run "a_wait_of_a_workflow_that_is_too_long_for_api_gateway" {
  command         = plan
  expect_failures = [terraform_data.timeout_chain]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    response_streaming = false
  }
}

run "more_than_a_task_definition_has_room_for" {
  command         = plan
  expect_failures = [aws_ecs_task_definition.service]

  plan_options {
    target = [aws_ecs_task_definition.service]
  }

  variables {
    workflows = { for number in range(40) : "orders-${number}" => {
      state_machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
      request_schema    = "../../../../examples/three-steps.schema.json"
      result_schema     = "../../../../examples/three-steps.schema.json"
    } }
  }
}

run "a_state_machine_in_another_region" {
  command         = plan
  expect_failures = [aws_ecs_task_definition.service]

  plan_options {
    target = [aws_ecs_task_definition.service]
  }

  variables {
    workflows = { orders = { state_machine_arn = "arn:aws:states:us-west-2:123456789012:stateMachine:orders" } }
  }
}
