# One CloudFormation stack creates the Event API and all secrets: version 5 of the provider does not support Event APIs, and
# what the stack creates does not pass through Terraform, so Terraform's state contains no key.
locals {
  # An API key is valid for at most a year. One day less, because AppSync rounds.
  api_key_lifetime_hours = 364 * 24
  api_key_warning_hours  = 334 * 24

  # Terraform has no function for the seconds since 1970, so this counts the days of the calendar, with years from March.
  api_key_expiry = { for key, created in terraform_data.api_key_created : key => timeadd(created.input, "${local.api_key_lifetime_hours}h") }
  api_key_date = { for key, time in local.api_key_expiry : key => {
    year  = tonumber(formatdate("YYYY", time)) - (tonumber(formatdate("MM", time)) < 3 ? 1 : 0)
    month = (tonumber(formatdate("MM", time)) + 9) % 12
    day   = tonumber(formatdate("DD", time))
  } }
  api_key_expiry_seconds = { for key, date in local.api_key_date : key => 86400 * (
    365 * date.year + floor(date.year / 4) - floor(date.year / 100) + floor(date.year / 400)
    + floor((153 * date.month + 2) / 5) + date.day - 719469
  ) }

  appsync     = terraform_data.appsync.output
  publish_url = "https://${local.appsync.host}/event"
}

# Stores when a key was created: an expiry that each plan computed from the current time would change with each plan.
resource "terraform_data" "api_key_created" {
  for_each = toset(var.appsync_api_keys)

  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

check "api_keys_valid_for_another_month" {
  assert {
    condition     = alltrue([for created in terraform_data.api_key_created : timecmp(plantimestamp(), timeadd(created.input, "${local.api_key_warning_hours}h")) < 0])
    error_message = "An AppSync API key expires within 30 days: rotate it (see IaC/README.md)."
  }
}

resource "aws_cloudformation_stack" "appsync" {
  #checkov:skip=CKV_AWS_124:only Terraform changes the stack, and it waits for the result and reports failures; a notification would add nothing
  name          = "${local.name}-appsync"
  template_body = file("${path.module}/../../../cloudFormation/appsync-events.yaml")

  parameters = {
    ApiName           = local.name
    Namespace         = var.appsync_namespace
    SubscriberAuth    = var.appsync_auth == "iam" ? "AWS_IAM" : "API_KEY"
    ActiveKey         = var.appsync_api_keys[0]
    KeepOtherKey      = tostring(length(var.appsync_api_keys) > 1)
    KeyAExpires       = lookup(local.api_key_expiry_seconds, "a", 0)
    KeyBExpires       = lookup(local.api_key_expiry_seconds, "b", 0)
    FirstIdSecret     = var.id_secrets[0]
    KeepOtherIdSecret = tostring(length(var.id_secrets) > 1)
    LogRoleArn        = aws_iam_role.appsync_logs.arn
    KmsKeyArn         = local.kms_key_arn
  }

  # AppSync tests the role when the API is created.
  depends_on = [aws_iam_role_policy.appsync_logs]
}

# A stored copy of the stack's outputs. Any change to a stack, even a key rotation, makes its outputs unknown in a plan, and
# the plan would replace half of the system, a log group and all tasks included. The copy changes only with
# `triggers_replace`.
resource "terraform_data" "appsync" {
  triggers_replace = [aws_cloudformation_stack.appsync.id, aws_cloudformation_stack.appsync.template_body, var.appsync_namespace]

  input = {
    api_id             = aws_cloudformation_stack.appsync.outputs["ApiId"]
    api_arn            = aws_cloudformation_stack.appsync.outputs["ApiArn"]
    host               = aws_cloudformation_stack.appsync.outputs["HttpHost"]
    host_realtime      = aws_cloudformation_stack.appsync.outputs["RealtimeHost"]
    namespace_arn      = aws_cloudformation_stack.appsync.outputs["NamespaceArn"]
    connection_arn     = aws_cloudformation_stack.appsync.outputs["ConnectionArn"]
    api_key_secret     = aws_cloudformation_stack.appsync.outputs["ApiKeySecretArn"]
    idempotency_secret = aws_cloudformation_stack.appsync.outputs["IdempotencySecretArn"]
    id_secrets         = aws_cloudformation_stack.appsync.outputs["IdSecretsArn"]
  }

  lifecycle {
    ignore_changes = [input] # `input` is an object because an unknown map cannot be ignored
  }
}
