output "api_endpoint" {
  description = "Base URL of the API: `curl \"$api_endpoint/event\"`. With custom_domain, the URL of that."
  value       = var.custom_domain == null ? aws_api_gateway_stage.main.invoke_url : "https://${var.custom_domain.domain_name}/${var.stage_name}"
}

output "state_machine_arn" {
  description = "ARN of the state machine of the workflow named event; null if no workflow has that name."
  value       = try(local.workflows["event"].arn, null)
}

output "state_machine_arns" {
  description = "ARN of the state machine of each workflow, by name."
  value       = { for name, workflow in local.workflows : name => workflow.arn }
}

output "connection_arn" {
  description = "ARN of the EventBridge connection that holds the AppSync API key for publishers."
  value       = local.appsync.connection_arn
}

output "appsync_host" {
  description = "Domain name of the Event API for publishing."
  value       = local.appsync.host
}

output "appsync_host_realtime" {
  description = "Domain name of the Event API for subscribing."
  value       = local.appsync.host_realtime
}

output "secretsmanager_arn" {
  description = "ARN of the secret with the AppSync API key."
  value       = local.appsync.api_key_secret
}

output "appsync_api_key_expiry" {
  description = "When each AppSync API key expires."
  value       = local.api_key_expiry
}

output "ecs_cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.main.name
}

output "ecs_service_arn" {
  description = "ARN of the ECS service."
  value       = aws_ecs_service.main.id
}

output "ecr_repository_url" {
  description = "URL of the repository for images."
  value       = aws_ecr_repository.service.repository_url
}

output "log_group_name" {
  description = "Log group of the service."
  value       = aws_cloudwatch_log_group.main["service"].name
}

output "alb_dns_name" {
  description = "DNS name of the internal load balancer, which only the VPC can reach."
  value       = aws_lb.main.dns_name
}

output "dashboard_url" {
  description = "URL of the CloudWatch dashboard."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.main.dashboard_name}"
}

output "custom_domain_target" {
  description = "Where the DNS record of custom_domain has to point: domain name, and hosted zone for an alias record. Null without custom_domain."
  value       = local.custom_domain_target
}

output "security_group_ids" {
  description = "Security groups of the load balancer (balancer), of the tasks (tasks) and of the VPC link (link)."
  value = {
    balancer = aws_security_group.balancer.id
    tasks    = aws_security_group.tasks.id
    link     = aws_security_group.link.id
  }
}

output "api_key_ids" {
  description = "Ids of the API keys in api_usage_plans, by name. `aws apigateway get-api-key --include-value` shows a key."
  value       = { for name, id in local.api_key_ids : name => lookup(aws_cloudformation_stack.usage_plans[0].outputs, id, null) } # a mocked stack has none
}
