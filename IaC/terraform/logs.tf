# All log groups, made before anything writes to them, so that none is made without encryption and with no end.
locals {
  log_groups = {
    service  = "/ecs/${local.name}"
    api      = "/aws/apigateway/${local.name}/access"
    workflow = "/aws/vendedlogs/states/${var.workflow_name}"
    appsync  = "/aws/appsync/apis/${local.appsync.api_id}"
    waf      = "aws-waf-logs-${local.name}" # WAF asks for this beginning
    network  = "/aws/vpc-flow-logs/${local.name}"
  }
}

resource "aws_cloudwatch_log_group" "main" {
  for_each = { for key, name in local.log_groups : key => name if key != "network" || local.makes_vpc }

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main.arn
}
