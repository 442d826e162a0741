# Usage plans and API keys, in a CloudFormation stack as well: Terraform's resource for a key would write it to the state.
locals {
  # The plan of each key.
  api_keys = merge([for plan, settings in var.api_usage_plans : { for key in settings.keys : key => plan }]...)

  # Logical ids have only letters and digits, and the names no capital letters.
  usage_plan_ids = { for name in keys(var.api_usage_plans) : name => "Plan${replace(name, "-", "X")}" }
  api_key_ids    = { for name in keys(local.api_keys) : name => "Key${replace(name, "-", "X")}" }
}

resource "aws_cloudformation_stack" "usage_plans" {
  #checkov:skip=CKV_AWS_124:only Terraform changes the stack, and it waits for the result and reports failures; a notification would add nothing
  count = length(var.api_usage_plans) > 0 ? 1 : 0

  name = "${local.name}-usage-plans"

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Usage plans and API keys. The outputs are the ids of the keys, which are no secret."
    Parameters               = { Api = { Type = "String" }, Stage = { Type = "String" } }

    Resources = merge(
      { for name, plan in var.api_usage_plans : local.usage_plan_ids[name] => {
        Type = "AWS::ApiGateway::UsagePlan"
        Properties = merge(
          {
            UsagePlanName = "${local.name}-${name}"
            ApiStages     = [{ ApiId = { Ref = "Api" }, Stage = { Ref = "Stage" } }]
            Throttle      = { RateLimit = plan.rate, BurstLimit = plan.burst }
          },
          plan.quota == null ? {} : { Quota = { Limit = plan.quota.limit, Period = plan.quota.period } },
        )
      } },
      { for name, id in local.api_key_ids : id => {
        Type       = "AWS::ApiGateway::ApiKey"
        Properties = { Name = "${local.name}-${name}", Enabled = true }
      } },
      { for name, id in local.api_key_ids : "${id}InPlan" => {
        Type = "AWS::ApiGateway::UsagePlanKey"
        Properties = {
          KeyId       = { Ref = id }
          KeyType     = "API_KEY"
          UsagePlanId = { Ref = local.usage_plan_ids[local.api_keys[name]] }
        }
      } },
    )

    Outputs = { for id in values(local.api_key_ids) : id => { Value = { Ref = id } } }
  })

  parameters = {
    Api   = aws_api_gateway_rest_api.main.id
    Stage = aws_api_gateway_stage.main.stage_name
  }
}
