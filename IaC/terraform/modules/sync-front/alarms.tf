# The alarms; each has an entry in docs/runbook.md. Most need several bad minutes, so that short blips page nobody.
locals {
  api_dimensions      = { ApiName = local.name, Stage = var.stage_name }
  balancer_dimensions = { LoadBalancer = aws_lb.main.arn_suffix }
  target_dimensions   = merge(local.balancer_dimensions, { TargetGroup = aws_lb_target_group.service.arn_suffix })
  relay_dimensions    = { StateMachineArn = local.relay_arn }
  ecs_dimensions      = { ClusterName = local.name, ServiceName = local.name }
  appsync_dimensions  = { EventAPIId = local.appsync.api_id, ChannelNamespaceName = var.appsync_namespace }

  # By the ends of names.
  suffixes_of = { workflow = values(local.suffixes), rule = values(local.rules)[*].suffix }
  dimensions_of = {
    workflow = { for name, suffix in local.suffixes : suffix => { StateMachineArn = local.unqualified[name] } }
    rule     = { for mode, rule in local.rules : rule.suffix => { RuleName = aws_cloudwatch_event_rule.ended[mode].name } }
  }

  # One with `each` is an alarm for each workflow, or for each rule.
  alarms = {
    api-5xx = {
      text      = "Callers get 5xx. The first row of the dashboard shows which layer it comes from."
      namespace = "AWS/ApiGateway", metric = "5XXError", dimensions = local.api_dimensions
      statistic = "Sum", threshold = 5, minutes = 5
    }
    api-latency = {
      text      = "Requests take almost as long as the timeout of API Gateway, which then answers 504."
      namespace = "AWS/ApiGateway", metric = "IntegrationLatency", dimensions = local.api_dimensions
      statistic = "p99", threshold = (local.timeouts.longest + 1) * 1000, minutes = 5
    }
    # The one that rolls a deployment back. It must not count 5xx that a workflow causes: a release cannot mend these, and
    # one caller that keeps reading failed executions would be enough to undo a good one.
    faults = {
      text      = "The service has internal errors, or cannot reach AppSync or Step Functions. A deployment in progress is rolled back."
      namespace = local.metrics.namespace, metric = local.metrics.faults, dimensions = local.metrics.dimensions
      statistic = "Sum", threshold = 10, minutes = 3
    }
    balancer-5xx = {
      text      = "The load balancer answers 5xx itself: it cannot reach tasks, or they close connections."
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.balancer_dimensions
      statistic = "Sum", threshold = 5, minutes = 3
    }
    not-ready = {
      text      = "Some tasks are not ready. Look for link_down in the service's log."
      namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.target_dimensions
      statistic = "Minimum", threshold = 0, minutes = 5
    }
    no-task-ready = {
      text      = "No task is ready, so no request is served.", missing = "breaching", less = true
      namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.target_dimensions
      statistic = "Maximum", threshold = 1, minutes = 2
    }
    tasks-missing = {
      text      = "Fewer tasks run than the minimum. See the service's events in ECS.", less = true
      namespace = "ECS/ContainerInsights", metric = "RunningTaskCount", dimensions = local.ecs_dimensions
      statistic = "Maximum", threshold = var.task_count.min, minutes = 10
    }
    link-down = {
      text      = "A task receives no replies from AppSync: it refuses the task's role or key, or is down.", less = true
      namespace = local.metrics.namespace, metric = local.metrics.link_up, dimensions = local.metrics.dimensions
      statistic = "Minimum", threshold = 1, minutes = 3
    }
    rejected = {
      text      = "Requests are rejected with 503: too few tasks, or Step Functions throttles."
      namespace = local.metrics.namespace, metric = local.metrics.rejected, dimensions = local.metrics.dimensions
      statistic = "Sum", threshold = 10, minutes = 3
    }
    in-flight = {
      text      = "A task is close to its limit of requests in flight: scaling does not keep up."
      namespace = local.metrics.namespace, metric = local.metrics.in_flight, dimensions = local.metrics.dimensions
      statistic = "Maximum", threshold = floor(var.max_in_flight * 0.85), minutes = 3
    }
    event-loop-lag = {
      text      = "The event loop lags: a task has more work than its CPU can handle."
      namespace = local.metrics.namespace, metric = local.metrics.event_loop_lag, dimensions = local.metrics.dimensions
      statistic = "Maximum", threshold = 500, minutes = 5
    }
    step-functions-throttling = {
      text      = "Step Functions throttles the service. Raise the quotas that IaC/README.md lists."
      namespace = local.metrics.namespace, metric = local.metrics.throttled_calls, dimensions = local.metrics.dimensions
      statistic = "Sum", threshold = 50, minutes = 5
    }
    workflow-failed = {
      text      = "Executions fail. See the log of the state machine."
      namespace = "AWS/States", metric = "ExecutionsFailed", each = "workflow"
      statistic = "Sum", threshold = 5, minutes = 5
    }
    workflow-timed-out = {
      text      = "Executions exceed the workflow's own timeout."
      namespace = "AWS/States", metric = "ExecutionsTimedOut", each = "workflow"
      statistic = "Sum", threshold = 0, minutes = 1
    }
    workflow-throttled = {
      text      = "Executions wait for state transitions, the quota that runs out first."
      namespace = "AWS/States", metric = "ExecutionThrottled", each = "workflow"
      statistic = "Sum", threshold = 0, minutes = 5
    }
    replies-dropped = {
      text      = "AppSync drops published events: its inbound quota is exhausted."
      namespace = "AWS/AppSync", metric = "InboundMessageDropped", dimensions = local.appsync_dimensions
      statistic = "Sum", threshold = 0, minutes = 1
    }
    relay-failed = {
      text      = "The relay cannot report how executions ended: AppSync refuses the connection's key, or is down."
      namespace = "AWS/States", metric = "ExecutionsFailed", dimensions = local.relay_dimensions
      statistic = "Sum", threshold = 0, minutes = 5
    }
    relay-throttled = {
      text      = "The relay waits for state transitions or for HTTP tasks: their quotas are used up."
      namespace = "AWS/States", metric = "ExecutionThrottled", dimensions = local.relay_dimensions
      statistic = "Sum", threshold = 0, minutes = 5
    }
    relay-not-started = {
      text      = "EventBridge cannot start the relay, so ends of executions are not reported."
      namespace = "AWS/Events", metric = "FailedInvocations", each = "rule"
      statistic = "Sum", threshold = 0, minutes = 5
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each = merge([for name, alarm in local.alarms : { for suffix in try(local.suffixes_of[alarm.each], [""]) : "${name}${suffix}" => merge(alarm, {
    dimensions = try(alarm.dimensions, local.dimensions_of[alarm.each][suffix])
    runbook    = name
  }) }]...)

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.text} Runbook: docs/runbook.md#${each.value.runbook}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = try(each.value.less, false) ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = try(each.value.missing, "notBreaching")
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}

# An expired key stops the whole system, and perhaps nobody runs a plan in the month before. The only dates that CloudWatch
# has are those of data points, so a metric that always has some serves as the clock.
resource "aws_cloudwatch_metric_alarm" "api_key_expires" {
  alarm_name          = "${local.name}-api-key-expires"
  alarm_description   = "An AppSync API key expires within 30 days. Rotate it. Runbook: docs/runbook.md#api-key-expires"
  comparison_operator = "GreaterThanThreshold"
  threshold           = min(values(local.api_key_expiry_seconds)...) - 30 * 86400
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns

  metric_query {
    id = "clock"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "HealthyHostCount"
      dimensions  = local.target_dimensions
      stat        = "Maximum"
      period      = 3600
    }
  }

  metric_query {
    id          = "now"
    expression  = "EPOCH(clock)"
    label       = "Seconds since 1970"
    return_data = true
  }
}
