# The relay: an Express state machine that reports to the instances of the service what workflows do not report themselves:
# failures, and in mode `event` successes as well. EventBridge starts it. It publishes no input and no cause, and its data are neither logged nor kept.
# There is no dead-letter queue either: it would keep callers' data, and what is not reported is found in the record.
locals {
  # Built from the name, because the relay's own role has to name it before it exists.
  relay_name = "${local.name}-relay"
  relay_arn  = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${local.relay_name}"
}

# From the same file that the local AWS executes.
resource "aws_sfn_state_machine" "relay" {
  #checkov:skip=CKV_AWS_285:the events hold callers' data, which must not reach a log
  name     = local.relay_name
  role_arn = aws_iam_role.relay.arn
  type     = "EXPRESS"

  definition = templatefile("${path.module}/../../../relay.asl.json", {
    partition      = local.partition
    endpoint       = local.publish_url
    connection_arn = local.appsync.connection_arn
    namespace      = var.appsync_namespace
  })

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.main["relay"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  # Step Functions tests the log group and the connection when the state machine is created.
  depends_on = [aws_iam_role_policy.relay]
}

# A rule for each mode: a workflow that gets the envelope publishes its own successes.
locals {
  rules = { for mode, rule in {
    envelope = { suffix = "", statuses = ["ABORTED", "FAILED", "TIMED_OUT"] }
    event    = { suffix = "-event", statuses = ["ABORTED", "FAILED", "SUCCEEDED", "TIMED_OUT"] }
  } : mode => rule if contains(values(local.workflows)[*].input, mode) }
}

# Only executions that the service has started have names with this prefix.
resource "aws_cloudwatch_event_rule" "ended" {
  for_each = local.rules

  name        = "${local.name}-ended${each.value.suffix}"
  description = "Executions that ended (${lower(join(", ", each.value.statuses))}) of workflows in mode ${each.key}"

  event_pattern = jsonencode({
    source        = ["aws.states"]
    "detail-type" = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = distinct([for name, workflow in local.workflows : local.unqualified[name] if workflow.input == each.key])
      status          = each.value.statuses
      name            = [{ prefix = "exec-" }]
    }
  })
}

resource "aws_cloudwatch_event_target" "ended" {
  for_each = aws_cloudwatch_event_rule.ended

  rule     = each.value.name
  arn      = aws_sfn_state_machine.relay.arn
  role_arn = aws_iam_role.ended.arn

  # After a minute, the service has read the end from the record.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 5
  }
}
