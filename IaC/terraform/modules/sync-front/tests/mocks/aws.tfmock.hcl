# Mocked values, wherever the configuration uses the value or the provider checks its format.
mock_data "aws_availability_zones" {
  defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
}
mock_data "aws_subnet" {
  defaults = { availability_zone_id = "use1-az1" }
}
mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}
mock_data "aws_region" {
  defaults = { id = "us-east-1" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws" }
}
mock_resource "aws_cloudformation_stack" {
  defaults = {
    outputs = {
      ApiId                = "api123"
      ApiArn               = "arn:aws:appsync:us-east-1:123456789012:apis/api123"
      HttpHost             = "abc.appsync-api.us-east-1.amazonaws.com"
      RealtimeHost         = "abc.appsync-realtime-api.us-east-1.amazonaws.com"
      NamespaceArn         = "arn:aws:appsync:us-east-1:123456789012:apis/api123/channelNamespace/AsyncEvents"
      ConnectionArn        = "arn:aws:events:us-east-1:123456789012:connection/sync-front/11111111-2222-3333-4444-555555555555"
      ConnectionSecretArn  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:events!connection/sync-front/1-AbCdEf"
      ApiKeySecretArn      = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ApiKeySecret-AbCdEf"
      IdempotencySecretArn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:IdempotencySecret-AbCdEf"
      IdSecretsArn         = "arn:aws:secretsmanager:us-east-1:123456789012:secret:IdSecrets-AbCdEf"
    }
  }
}
mock_resource "aws_lb" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/sync-front/0123456789abcdef"
    arn_suffix = "app/sync-front/0123456789abcdef"
    dns_name   = "internal-sync-front-1.us-east-1.elb.amazonaws.com"
  }
}
mock_resource "aws_lb_target_group" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/sync-front/0123456789abcdef"
    arn_suffix = "targetgroup/sync-front/0123456789abcdef"
  }
}
mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
}
mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
}
mock_resource "aws_sfn_state_machine" {
  defaults = { arn = "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow" }
}
mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mock" }
}
mock_resource "aws_cloudwatch_event_rule" {
  defaults = { arn = "arn:aws:events:us-east-1:123456789012:rule/sync-front-ended" }
}
mock_resource "aws_wafv2_web_acl" {
  defaults = { arn = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/sync-front/1" }
}
mock_resource "aws_api_gateway_stage" {
  defaults = {
    arn        = "arn:aws:apigateway:us-east-1::/restapis/api/stages/dev"
    invoke_url = "https://api.execute-api.us-east-1.amazonaws.com/dev"
  }
}
mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:us-east-1:123456789012:repository/sync-front"
    repository_url = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sync-front"
  }
}
mock_resource "aws_ecs_cluster" {
  defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:cluster/sync-front" }
}
mock_resource "aws_ecs_service" {
  defaults = { id = "arn:aws:ecs:us-east-1:123456789012:service/sync-front/sync-front" }
}
