# Everything was in this folder before it became a module. Deployments of that time are moved, not replaced.
moved {
  from = aws_cloudwatch_metric_alarm.main
  to   = module.sync_front.aws_cloudwatch_metric_alarm.main
}

moved {
  from = aws_cloudwatch_metric_alarm.api_key_expires
  to   = module.sync_front.aws_cloudwatch_metric_alarm.api_key_expires
}

moved {
  from = aws_lb.main
  to   = module.sync_front.aws_lb.main
}

moved {
  from = aws_lb_target_group.service
  to   = module.sync_front.aws_lb_target_group.service
}

moved {
  from = aws_lb_listener.service
  to   = module.sync_front.aws_lb_listener.service
}

moved {
  from = aws_apigatewayv2_vpc_link.main
  to   = module.sync_front.aws_apigatewayv2_vpc_link.main
}

moved {
  from = aws_api_gateway_rest_api.main
  to   = module.sync_front.aws_api_gateway_rest_api.main
}

moved {
  from = aws_api_gateway_deployment.main
  to   = module.sync_front.aws_api_gateway_deployment.main
}

moved {
  from = aws_api_gateway_stage.main
  to   = module.sync_front.aws_api_gateway_stage.main
}

moved {
  from = aws_api_gateway_method_settings.all
  to   = module.sync_front.aws_api_gateway_method_settings.all
}

moved {
  from = aws_api_gateway_account.logs
  to   = module.sync_front.aws_api_gateway_account.logs
}

moved {
  from = terraform_data.api_key_created
  to   = module.sync_front.terraform_data.api_key_created
}

moved {
  from = aws_cloudformation_stack.appsync
  to   = module.sync_front.aws_cloudformation_stack.appsync
}

moved {
  from = terraform_data.appsync
  to   = module.sync_front.terraform_data.appsync
}

moved {
  from = aws_appautoscaling_target.service
  to   = module.sync_front.aws_appautoscaling_target.service
}

moved {
  from = aws_appautoscaling_policy.in_flight
  to   = module.sync_front.aws_appautoscaling_policy.in_flight
}

moved {
  from = aws_appautoscaling_policy.cpu
  to   = module.sync_front.aws_appautoscaling_policy.cpu
}

moved {
  from = aws_cloudwatch_dashboard.main
  to   = module.sync_front.aws_cloudwatch_dashboard.main
}

moved {
  from = aws_ecr_repository.service
  to   = module.sync_front.aws_ecr_repository.service
}

moved {
  from = aws_ecr_lifecycle_policy.service
  to   = module.sync_front.aws_ecr_lifecycle_policy.service
}

moved {
  from = aws_ecs_cluster.main
  to   = module.sync_front.aws_ecs_cluster.main
}

moved {
  from = aws_ecs_task_definition.service
  to   = module.sync_front.aws_ecs_task_definition.service
}

moved {
  from = aws_ecs_service.main
  to   = module.sync_front.aws_ecs_service.main
}

moved {
  from = aws_cloudwatch_event_rule.ended
  to   = module.sync_front.aws_cloudwatch_event_rule.ended
}

moved {
  from = aws_cloudwatch_event_target.ended
  to   = module.sync_front.aws_cloudwatch_event_target.ended
}

moved {
  from = aws_iam_role.task
  to   = module.sync_front.aws_iam_role.task
}

moved {
  from = aws_iam_role_policy.task
  to   = module.sync_front.aws_iam_role_policy.task
}

moved {
  from = aws_iam_role.execution
  to   = module.sync_front.aws_iam_role.execution
}

moved {
  from = aws_iam_role_policy.execution
  to   = module.sync_front.aws_iam_role_policy.execution
}

moved {
  from = aws_iam_role.workflow
  to   = module.sync_front.aws_iam_role.workflow
}

moved {
  from = aws_iam_role_policy.workflow
  to   = module.sync_front.aws_iam_role_policy.workflow
}

moved {
  from = aws_iam_role.ended
  to   = module.sync_front.aws_iam_role.ended
}

moved {
  from = aws_iam_role_policy.ended
  to   = module.sync_front.aws_iam_role_policy.ended
}

moved {
  from = aws_iam_role.appsync_logs
  to   = module.sync_front.aws_iam_role.appsync_logs
}

moved {
  from = aws_iam_role_policy.appsync_logs
  to   = module.sync_front.aws_iam_role_policy.appsync_logs
}

moved {
  from = aws_iam_role.api_logs
  to   = module.sync_front.aws_iam_role.api_logs
}

moved {
  from = aws_iam_role_policy_attachment.api_logs
  to   = module.sync_front.aws_iam_role_policy_attachment.api_logs
}

moved {
  from = aws_iam_role.flow_logs
  to   = module.sync_front.aws_iam_role.flow_logs
}

moved {
  from = aws_iam_role_policy.flow_logs
  to   = module.sync_front.aws_iam_role_policy.flow_logs
}

moved {
  from = aws_kms_key.main
  to   = module.sync_front.aws_kms_key.main[0]
}

moved {
  from = aws_kms_alias.main
  to   = module.sync_front.aws_kms_alias.main[0]
}

moved {
  from = aws_cloudwatch_log_group.main
  to   = module.sync_front.aws_cloudwatch_log_group.main
}

moved {
  from = aws_vpc.main
  to   = module.sync_front.aws_vpc.main
}

moved {
  from = aws_default_security_group.none
  to   = module.sync_front.aws_default_security_group.none
}

moved {
  from = aws_subnet.private
  to   = module.sync_front.aws_subnet.private
}

moved {
  from = aws_subnet.public
  to   = module.sync_front.aws_subnet.public
}

moved {
  from = aws_internet_gateway.main
  to   = module.sync_front.aws_internet_gateway.main
}

moved {
  from = aws_route_table.public
  to   = module.sync_front.aws_route_table.public
}

moved {
  from = aws_route.internet
  to   = module.sync_front.aws_route.internet
}

moved {
  from = aws_route_table_association.public
  to   = module.sync_front.aws_route_table_association.public
}

moved {
  from = aws_eip.nat
  to   = module.sync_front.aws_eip.nat
}

moved {
  from = aws_nat_gateway.main
  to   = module.sync_front.aws_nat_gateway.main
}

moved {
  from = aws_route_table.private
  to   = module.sync_front.aws_route_table.private
}

moved {
  from = aws_route.nat
  to   = module.sync_front.aws_route.nat
}

moved {
  from = aws_route_table_association.private
  to   = module.sync_front.aws_route_table_association.private
}

moved {
  from = aws_vpc_endpoint.s3
  to   = module.sync_front.aws_vpc_endpoint.s3
}

moved {
  from = aws_flow_log.rejected
  to   = module.sync_front.aws_flow_log.rejected
}

moved {
  from = aws_security_group.link
  to   = module.sync_front.aws_security_group.link
}

moved {
  from = aws_security_group.balancer
  to   = module.sync_front.aws_security_group.balancer
}

moved {
  from = aws_security_group.tasks
  to   = module.sync_front.aws_security_group.tasks
}

moved {
  from = aws_vpc_security_group_egress_rule.link_to_balancer
  to   = module.sync_front.aws_vpc_security_group_egress_rule.link_to_balancer
}

moved {
  from = aws_vpc_security_group_ingress_rule.balancer_from_link
  to   = module.sync_front.aws_vpc_security_group_ingress_rule.balancer_from_link
}

moved {
  from = aws_vpc_security_group_egress_rule.balancer_to_tasks
  to   = module.sync_front.aws_vpc_security_group_egress_rule.balancer_to_tasks
}

moved {
  from = aws_vpc_security_group_ingress_rule.tasks_from_balancer
  to   = module.sync_front.aws_vpc_security_group_ingress_rule.tasks_from_balancer
}

moved {
  from = aws_vpc_security_group_egress_rule.tasks_to_aws
  to   = module.sync_front.aws_vpc_security_group_egress_rule.tasks_to_aws
}

moved {
  from = terraform_data.timeout_chain
  to   = module.sync_front.terraform_data.timeout_chain
}

moved {
  from = aws_wafv2_web_acl.api
  to   = module.sync_front.aws_wafv2_web_acl.api
}

moved {
  from = aws_wafv2_web_acl_association.api
  to   = module.sync_front.aws_wafv2_web_acl_association.api
}

moved {
  from = aws_wafv2_web_acl_logging_configuration.api
  to   = module.sync_front.aws_wafv2_web_acl_logging_configuration.api
}

moved {
  from = aws_sfn_state_machine.workflow
  to   = module.sync_front.aws_sfn_state_machine.workflow
}
