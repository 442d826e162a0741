# All log groups, created before anything writes to them. AWS would create them without encryption or retention.
locals {
  log_groups = merge({ for name, machine in local.machines : "workflow${local.suffixes[name]}" => "/aws/vendedlogs/states/${machine.name}" }, {
    service = "/ecs/${local.name}"
    api     = "/aws/apigateway/${local.name}/access"
    errors  = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.main.id}/${var.stage_name}" # API Gateway chose this name
    relay   = "/aws/vendedlogs/states/${local.relay_name}"
    appsync = "/aws/appsync/apis/${local.appsync.api_id}"
    waf     = "aws-waf-logs-${local.name}" # WAF requires this prefix
    network = "/aws/vpc-flow-logs/${local.name}"
  })
}

resource "aws_cloudwatch_log_group" "main" {
  for_each = { for key, name in local.log_groups : key => name if key != "network" || local.create_vpc }

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
}
