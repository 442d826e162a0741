output "api_endpoint" {
  description = "Base URL of the API: `curl \"$api_endpoint/event\"`. With custom_domain, the URL of that."
  value       = module.sync_front.api_endpoint
}

output "state_machine_arn" {
  description = "ARN of the state machine of the workflow named event; null if no workflow has that name."
  value       = module.sync_front.state_machine_arn
}

output "state_machine_arns" {
  description = "ARN of the state machine of each workflow, by name."
  value       = module.sync_front.state_machine_arns
}

output "connection_arn" {
  description = "ARN of the EventBridge connection that holds the AppSync API key for publishers."
  value       = module.sync_front.connection_arn
}

output "appsync_host" {
  description = "Domain name of the Event API for publishing."
  value       = module.sync_front.appsync_host
}

output "appsync_host_realtime" {
  description = "Domain name of the Event API for subscribing."
  value       = module.sync_front.appsync_host_realtime
}

output "secretsmanager_arn" {
  description = "ARN of the secret with the AppSync API key."
  value       = module.sync_front.secretsmanager_arn
}

output "appsync_api_key_expiry" {
  description = "When each AppSync API key expires."
  value       = module.sync_front.appsync_api_key_expiry
}

output "ecs_cluster_name" {
  description = "Name of the ECS cluster."
  value       = module.sync_front.ecs_cluster_name
}

output "ecs_service_arn" {
  description = "ARN of the ECS service."
  value       = module.sync_front.ecs_service_arn
}

output "ecr_repository_url" {
  description = "URL of the repository for images."
  value       = module.sync_front.ecr_repository_url
}

output "log_group_name" {
  description = "Log group of the service."
  value       = module.sync_front.log_group_name
}

output "alb_dns_name" {
  description = "DNS name of the internal load balancer, which only the VPC can reach."
  value       = module.sync_front.alb_dns_name
}

output "dashboard_url" {
  description = "URL of the CloudWatch dashboard."
  value       = module.sync_front.dashboard_url
}

output "custom_domain_target" {
  description = "Where the DNS record of custom_domain has to point: domain name, and hosted zone for an alias record. Null without custom_domain."
  value       = module.sync_front.custom_domain_target
}

output "security_group_ids" {
  description = "Security groups of the load balancer (balancer), of the tasks (tasks) and of the VPC link (link)."
  value       = module.sync_front.security_group_ids
}

output "api_key_ids" {
  description = "Ids of the API keys in api_usage_plans, by name. `aws apigateway get-api-key --include-value` shows a key."
  value       = module.sync_front.api_key_ids
}
