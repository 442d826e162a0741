# The workflow, from the same file that the local AWS executes.
resource "aws_sfn_state_machine" "workflow" {
  #checkov:skip=CKV_AWS_285:execution data contain callers' names and must not reach a log; the record keeps them for those with permission
  name     = var.workflow_name
  role_arn = aws_iam_role.workflow.arn
  type     = "STANDARD" # keeps a record of every execution for 90 days, from which lost replies are recovered

  definition = templatefile("${path.module}/../../../workflow.asl.json", {
    partition      = local.partition
    endpoint       = local.publish_url
    connection_arn = local.appsync.connection_arn
    wait_seconds   = var.wait_seconds
  })

  # Errors only, because the record of every execution has the rest; and never the data, which belong to the callers.
  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.main["workflow"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  # Step Functions tests the log group and the connection when the state machine is created.
  depends_on = [aws_iam_role_policy.workflow]
}
