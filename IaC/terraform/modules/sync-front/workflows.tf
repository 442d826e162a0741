# The workflows. What each of them needs follows from here: its state machine, the paths of the API, permissions, rules and
# alarms.
locals {
  # Without any, there is the demonstration.
  configured = length(var.workflows) > 0 ? var.workflows : { event = {
    path              = null
    definition        = "${path.module}/../../../workflow.asl.json"
    definition_vars   = {}
    role_statements   = []
    state_machine_arn = null
    input             = "envelope"
    request_schema    = "${path.module}/../../../request.schema.json"
    result_schema     = null
    check_results     = false
    response_timeout  = null
    stream_timeout    = null
    max_in_flight     = null
    on_client_gone    = null
    progress          = null
    errors            = {}
  } }

  # Names of the workflow `event` end without it, as in deployments from the time when there was no other.
  suffixes = { for name in keys(local.configured) : name => name == "event" ? "" : "-${name}" }

  # State machines that this module creates. Their ARNs are built from the names, because their roles have to name them
  # before they exist.
  machines = { for name, workflow in local.configured : name => {
    name       = name == "event" ? var.workflow_name : "${local.name}-workflow-${name}"
    definition = workflow.definition
    vars       = workflow.definition_vars
    input      = workflow.input
    statements = workflow.role_statements
  } if workflow.definition != null }

  workflows = { for name, workflow in local.configured : name => {
    path           = coalesce(workflow.path, "/${name}")
    input          = workflow.input
    arn            = workflow.definition == null ? workflow.state_machine_arn : "${local.machine_prefix}${local.machines[name].name}"
    request_schema = workflow.request_schema == null ? null : file(workflow.request_schema)
    result_schema  = workflow.result_schema == null ? null : file(workflow.result_schema)
  } }
  machine_prefix = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:"

  # Metrics, executions and events of EventBridge name a state machine without a version or an alias.
  unqualified = { for name, workflow in local.workflows : name => join(":", slice(split(":", workflow.arn), 0, 7)) }

  # The service's setting (docs/workflows.md), with the files in it.
  workflow_settings = jsonencode({ for name, workflow in local.configured : name => { for key, value in {
    path              = local.workflows[name].path
    state_machine_arn = local.workflows[name].arn
    input             = workflow.input
    request_schema    = workflow.request_schema == null ? null : jsondecode(local.workflows[name].request_schema)
    result_schema     = workflow.result_schema == null ? null : jsondecode(local.workflows[name].result_schema)
    check_results     = workflow.check_results ? true : null
    response_timeout  = workflow.response_timeout
    stream_timeout    = workflow.stream_timeout
    max_in_flight     = workflow.max_in_flight
    on_client_gone    = workflow.on_client_gone
    progress          = workflow.progress
    errors            = length(workflow.errors) > 0 ? workflow.errors : null
  } : key => value if value != null } })
}

# The demonstration's is the file that the local AWS executes, too.
resource "aws_sfn_state_machine" "workflow" {
  #checkov:skip=CKV_AWS_285:execution data contain callers' names and must not reach a log; the record keeps them for those with permission
  for_each = local.machines

  name     = each.value.name
  role_arn = aws_iam_role.workflow[each.key].arn
  type     = "STANDARD" # keeps a record of every execution for 90 days, from which lost replies are recovered

  definition = templatefile(each.value.definition, merge({
    partition      = local.partition
    endpoint       = local.publish_url
    connection_arn = local.appsync.connection_arn
    wait_seconds   = var.wait_seconds
  }, each.value.vars))

  # Errors only, because the record of every execution has the rest; and never the data, which belong to the callers.
  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.main["workflow${local.suffixes[each.key]}"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  # Step Functions tests the log group and the connection when the state machine is created.
  depends_on = [aws_iam_role_policy.workflow]
}
