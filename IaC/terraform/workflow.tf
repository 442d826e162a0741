# The one workflow file: what is deployed here is what the local AWS executes.
resource "aws_sfn_state_machine" "workflow" {
  #checkov:skip=CKV_AWS_285:execution data are callers' names and must not reach a log; the record keeps them for those who may read it
  name     = var.workflow_name
  role_arn = aws_iam_role.workflow.arn
  type     = "STANDARD" # remembers every execution for 90 days: that is where lost replies are found

  definition = templatefile("${path.module}/../workflow.asl.json", {
    partition      = local.partition
    endpoint       = local.publish_url
    connection_arn = local.appsync.connection_arn
    wait_seconds   = var.wait_seconds
  })

  # Errors only, as the record of every execution tells the rest; and never the data, which is the callers'.
  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.main["workflow"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  # Step Functions tries logging and the connection when the machine is made.
  depends_on = [aws_iam_role_policy.workflow]
}
