# One deployment. The module is in modules/sync-front; use it directly for several deployments, or beside other resources
# (examples/).
module "sync_front" {
  source = "./modules/sync-front"

  service_name               = var.service_name
  workflow_name              = var.workflow_name
  image_tag                  = var.image_tag
  image_uri                  = var.image_uri
  wait_seconds               = var.wait_seconds
  timeouts                   = var.timeouts
  stage_name                 = var.stage_name
  api_authorization          = var.api_authorization
  api_authorizer_arn         = var.api_authorizer_arn
  api_usage_plans            = var.api_usage_plans
  api_scopes                 = var.api_scopes
  api_caller                 = var.api_caller
  cors_origins               = var.cors_origins
  api_throttle               = var.api_throttle
  waf_requests_per_ip        = var.waf_requests_per_ip
  manage_api_gateway_account = var.manage_api_gateway_account
  custom_domain              = var.custom_domain
  existing_vpc               = var.existing_vpc
  vpc_cidr                   = var.vpc_cidr
  zone_count                 = var.zone_count
  nat_gateway_per_zone       = var.nat_gateway_per_zone
  internal_tls               = var.internal_tls
  cpu_architecture           = var.cpu_architecture
  task_size                  = var.task_size
  task_count                 = var.task_count
  fargate_spot_percent       = var.fargate_spot_percent
  wait_for_steady_state      = var.wait_for_steady_state
  enable_execute_command     = var.enable_execute_command
  max_in_flight              = var.max_in_flight
  on_client_gone             = var.on_client_gone
  read_foreign_executions    = var.read_foreign_executions
  log_level                  = var.log_level
  log_retention_days         = var.log_retention_days
  kms_key_arn                = var.kms_key_arn
  permissions_boundary_arn   = var.permissions_boundary_arn
  appsync_namespace          = var.appsync_namespace
  appsync_auth               = var.appsync_auth
  appsync_api_keys           = var.appsync_api_keys
  id_secrets                 = var.id_secrets
  step_functions_quotas      = var.step_functions_quotas
  alarm_topic_arns           = var.alarm_topic_arns
}
