# Announcements of executions that ended in a way no state can catch: a timeout, an abort, a workflow that never publishes.
# EventBridge publishes one event on a channel to which all instances subscribe. It does not contain the outcome: the
# instance that waits reads that from the record.
locals {
  ended_channel = "${var.appsync_namespace}/ended"
}

resource "aws_cloudwatch_event_rule" "ended" {
  name        = "${local.name}-ended"
  description = "Executions of ${var.workflow_name} that may have ended without a reply"

  event_pattern = jsonencode({
    source        = ["aws.states"]
    "detail-type" = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [aws_sfn_state_machine.workflow.arn]
      status          = sort(var.ended_statuses)
    }
  })
}

resource "aws_cloudwatch_event_api_destination" "ended" {
  name                             = "${local.name}-ended"
  description                      = "Publishes to AppSync Events"
  connection_arn                   = local.appsync.connection_arn
  invocation_endpoint              = local.publish_url
  http_method                      = "POST"
  invocation_rate_limit_per_second = 300
}

resource "aws_cloudwatch_event_target" "ended" {
  rule     = aws_cloudwatch_event_rule.ended.name
  arn      = aws_cloudwatch_event_api_destination.ended.arn
  role_arn = aws_iam_role.ended.arn

  input_transformer {
    input_paths = { name = "$.detail.name" }
    # Written by hand, because jsonencode would escape the angle brackets. An event is a string that contains JSON.
    input_template = <<-JSON
      {"channel": "/${local.ended_channel}/<name>", "events": ["{\"id\":\"<name>\",\"status\":\"ENDED\"}"]}
    JSON
  }

  # After a minute, no request waits for the announcement any more.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 5
  }

  dead_letter_config {
    arn = aws_sqs_queue.ended_undelivered.arn
  }
}

# For the alarm on its depth, and for the error codes in its messages; nothing is sent again.
resource "aws_sqs_queue" "ended_undelivered" {
  name                      = "${local.name}-ended-undelivered"
  message_retention_seconds = 86400
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "ended_undelivered" {
  queue_url = aws_sqs_queue.ended_undelivered.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EventBridge"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.ended_undelivered.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.ended.arn } }
    }]
  })
}
