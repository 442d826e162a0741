# One row per layer, from the caller inwards. The first row that looks wrong is where to look.
locals {
  # A widget has a title, metrics as [namespace, name, dimensions, options], and a default statistic.
  dashboard_rows = concat([
    {
      heading = "Callers: are requests answered?"
      widgets = [
        { title = "Requests and errors", stat = "Sum", metrics = [
          ["AWS/ApiGateway", "Count", local.api_dimensions, {}],
          ["AWS/ApiGateway", "4XXError", local.api_dimensions, {}],
          ["AWS/ApiGateway", "5XXError", local.api_dimensions, { color = "#d62728" }],
        ] },
        { title = "Response time (ms)", stat = "p50", line = local.timeouts.api_gateway * 1000, line_text = "API Gateway timeout", metrics = [
          ["AWS/ApiGateway", "Latency", local.api_dimensions, { label = "p50" }],
          ["AWS/ApiGateway", "Latency", local.api_dimensions, { label = "p99", stat = "p99" }],
        ] },
        { title = "Sources of 5xx", stat = "Sum", metrics = [
          ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", local.balancer_dimensions, { label = "service" }],
          ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", local.balancer_dimensions, { label = "load balancer" }],
          ["AWS/WAFV2", "BlockedRequests", { WebACL = local.name, Rule = "ALL", Region = local.region }, { label = "blocked by WAF" }],
        ] },
      ]
    },
    {
      heading = "Service: does it receive replies, and how loaded is it?"
      widgets = [
        { title = "Requests in flight per task", stat = "Average", line = floor(var.max_in_flight / 2), line_text = "scaling target", metrics = [
          [local.metrics.namespace, local.metrics.in_flight, local.metrics.dimensions, { label = "average" }],
          [local.metrics.namespace, local.metrics.in_flight, local.metrics.dimensions, { label = "highest", stat = "Maximum" }],
          [local.metrics.namespace, local.metrics.max_in_flight, local.metrics.dimensions, { label = "limit", stat = "Minimum" }],
        ] },
        { title = "Link to AppSync", stat = "Minimum", metrics = [
          [local.metrics.namespace, local.metrics.link_up, local.metrics.dimensions, { label = "up on all tasks" }],
          [local.metrics.namespace, local.metrics.reconnects, local.metrics.dimensions, { stat = "Sum" }],
          [local.metrics.namespace, local.metrics.recovered, local.metrics.dimensions, { stat = "Sum", label = "recovered from the record" }],
        ] },
        { title = "Faults, rejected and throttled", stat = "Sum", metrics = [
          [local.metrics.namespace, local.metrics.requests, local.metrics.dimensions, {}],
          [local.metrics.namespace, local.metrics.faults, local.metrics.dimensions, { color = "#d62728" }],
          [local.metrics.namespace, local.metrics.rejected, local.metrics.dimensions, {}],
          [local.metrics.namespace, local.metrics.throttled_calls, local.metrics.dimensions, {}],
        ] },
        { title = "Overhead and event loop lag (ms)", stat = "p99", metrics = [
          [local.metrics.namespace, local.metrics.bridge_overhead, local.metrics.dimensions, { label = "overhead per request, p99" }],
          [local.metrics.namespace, local.metrics.event_loop_lag, local.metrics.dimensions, { label = "event loop lag, maximum", stat = "Maximum" }],
        ] },
      ]
    },
    ], [for name, workflow in local.workflows : {
      heading = "Workflow ${name}: do executions end, and in time?"
      widgets = [
        { title = "Executions of ${name}", stat = "Sum", metrics = [for metric in ["Started", "Succeeded", "Failed", "TimedOut", "Aborted"] :
          ["AWS/States", "Executions${metric}", { StateMachineArn = local.unqualified[name] }, {}]
        ] },
        { title = "Execution time of ${name} (ms)", stat = "p50", line = local.waits[name].response * 1000, line_text = "callers get 202", metrics = [
          ["AWS/States", "ExecutionTime", { StateMachineArn = local.unqualified[name] }, { label = "p50" }],
          ["AWS/States", "ExecutionTime", { StateMachineArn = local.unqualified[name] }, { label = "p99", stat = "p99" }],
        ] },
        { title = "Throttled executions of ${name}", stat = "Sum", metrics = [
          ["AWS/States", "ExecutionThrottled", { StateMachineArn = local.unqualified[name] }, {}],
        ] },
      ]
    }], [
    {
      heading = "Replies: do they get through?"
      widgets = [
        { title = "Events through AppSync", stat = "Sum", metrics = [
          ["AWS/AppSync", "InboundMessages", local.appsync_dimensions, {}],
          ["AWS/AppSync", "OutboundMessages", local.appsync_dimensions, {}],
          ["AWS/AppSync", "InboundMessageDropped", local.appsync_dimensions, {}],
          ["AWS/AppSync", "FailedEvents", local.appsync_dimensions, {}],
        ] },
        { title = "Relay", stat = "Sum", metrics = concat(
          [for dimensions in values(local.dimensions_of.rule) : ["AWS/Events", "FailedInvocations", dimensions, { label = "not started by ${dimensions.RuleName}" }]],
          [
            ["AWS/States", "ExecutionsStarted", local.relay_dimensions, { label = "started" }],
            ["AWS/States", "ExecutionsFailed", local.relay_dimensions, { label = "failed" }],
            ["AWS/States", "ExecutionThrottled", local.relay_dimensions, { label = "throttled" }],
          ],
        ) },
      ]
    },
    {
      heading = "Tasks: are enough of them running?"
      widgets = [
        { title = "Tasks", stat = "Maximum", metrics = [
          ["ECS/ContainerInsights", "DesiredTaskCount", local.ecs_dimensions, {}],
          ["ECS/ContainerInsights", "RunningTaskCount", local.ecs_dimensions, {}],
          ["AWS/ApplicationELB", "HealthyHostCount", local.target_dimensions, {}],
          [local.metrics.namespace, local.metrics.draining, local.metrics.dimensions, { stat = "Sum", label = "draining" }],
        ] },
        { title = "CPU and memory (%)", stat = "Average", metrics = [
          ["AWS/ECS", "CPUUtilization", local.ecs_dimensions, {}],
          ["AWS/ECS", "MemoryUtilization", local.ecs_dimensions, {}],
        ] },
        { title = "Load balancer connections", stat = "Sum", metrics = [
          ["AWS/ApplicationELB", "ActiveConnectionCount", local.balancer_dimensions, {}],
          ["AWS/ApplicationELB", "TargetConnectionErrorCount", local.balancer_dimensions, {}],
        ] },
      ]
    },
  ])

  # CloudWatch expects a metric as one flat list: namespace, name, dimension, value, ..., options.
  dashboard_widgets = flatten([for row, content in local.dashboard_rows : concat(
    [jsonencode({
      type       = "text"
      x          = 0
      y          = row * 7
      width      = 24
      height     = 1
      properties = { markdown = "## ${content.heading}" }
    })],
    [for column, widget in content.widgets : jsonencode({
      type   = "metric"
      x      = column * floor(24 / length(content.widgets))
      y      = row * 7 + 1
      width  = floor(24 / length(content.widgets))
      height = 6
      properties = {
        title       = widget.title
        region      = local.region
        stat        = widget.stat
        period      = 60
        view        = "timeSeries"
        metrics     = [for metric in widget.metrics : concat([metric[0], metric[1]], flatten([for name, value in metric[2] : [name, value]]), [metric[3]])]
        annotations = { horizontal = try([{ value = widget.line, label = widget.line_text }], []) }
      }
    })],
  )])

  dashboard_log = jsonencode({
    type   = "log"
    x      = 0
    y      = length(local.dashboard_rows) * 7
    width  = 24
    height = 8
    properties = {
      title  = "Warnings and errors of the service"
      region = local.region
      view   = "table"
      query  = "SOURCE '${local.log_groups.service}' | fields @timestamp, level, event, request_id, @message | filter level in ['warning', 'error', 'critical'] | sort @timestamp desc | limit 100"
    }
  })
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = [for widget in concat(local.dashboard_widgets, [local.dashboard_log]) : jsondecode(widget)] })
}
