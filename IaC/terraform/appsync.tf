# The Event API and all secrets come from one CloudFormation stack: version 5 of the provider knows no Event APIs, and
# what is made inside the stack never passes through Terraform, so its state holds no key.
locals {
  # An API key lives a year at most; a day less, as AppSync rounds.
  api_key_lifetime_hours = 364 * 24
  api_key_warning_hours  = 334 * 24

  # Terraform has no function for the seconds since 1970: the days of the civil calendar, counted from March.
  api_key_expiry = { for key, born in terraform_data.api_key_born : key => timeadd(born.input, "${local.api_key_lifetime_hours}h") }
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

# Remembers when a key was made: an expiry that is computed anew in each plan would change in each plan.
resource "terraform_data" "api_key_born" {
  for_each = toset(var.appsync_api_keys)

  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

check "api_keys_last_another_month" {
  assert {
    condition     = alltrue([for born in terraform_data.api_key_born : timecmp(plantimestamp(), timeadd(born.input, "${local.api_key_warning_hours}h")) < 0])
    error_message = "An AppSync API key expires within 30 days: rotate it as the README says."
  }
}

resource "aws_cloudformation_stack" "appsync" {
  #checkov:skip=CKV_AWS_124:Terraform alone changes the stack, waits for it and reports its failure; nobody else has to be told
  name          = "${local.name}-appsync"
  template_body = file("${path.module}/../cloudFormation/appsync-events.yaml")

  parameters = {
    ApiName        = local.name
    Namespace      = var.appsync_namespace
    SubscriberAuth = var.appsync_auth == "iam" ? "AWS_IAM" : "API_KEY"
    ActiveKey      = var.appsync_api_keys[0]
    KeepOtherKey   = tostring(length(var.appsync_api_keys) > 1)
    KeyAExpires    = lookup(local.api_key_expiry_seconds, "a", 0)
    KeyBExpires    = lookup(local.api_key_expiry_seconds, "b", 0)
    LogRoleArn     = aws_iam_role.appsync_logs.arn
    KmsKeyArn      = aws_kms_key.main.arn
  }

  # AppSync tries the role when the API is made.
  depends_on = [aws_iam_role_policy.appsync_logs]
}

# What the stack gave out, kept. Any change of a stack, a rotation too, makes its outputs unknown to a plan, and with them
# half of the system: a log group and all tasks would be replaced. Only what is named in `triggers_replace` changes them.
resource "terraform_data" "appsync" {
  triggers_replace = [aws_cloudformation_stack.appsync.id, aws_cloudformation_stack.appsync.template_body, var.appsync_namespace]

  input = {
    api_id             = aws_cloudformation_stack.appsync.outputs["ApiId"]
    api_arn            = aws_cloudformation_stack.appsync.outputs["ApiArn"]
    host               = aws_cloudformation_stack.appsync.outputs["HttpHost"]
    host_realtime      = aws_cloudformation_stack.appsync.outputs["RealtimeHost"]
    namespace_arn      = aws_cloudformation_stack.appsync.outputs["NamespaceArn"]
    connection_arn     = aws_cloudformation_stack.appsync.outputs["ConnectionArn"]
    connection_secret  = aws_cloudformation_stack.appsync.outputs["ConnectionSecretArn"]
    api_key_secret     = aws_cloudformation_stack.appsync.outputs["ApiKeySecretArn"]
    idempotency_secret = aws_cloudformation_stack.appsync.outputs["IdempotencySecretArn"]
  }

  lifecycle {
    ignore_changes = [input] # an object: a map that is unknown as a whole cannot be ignored
  }
}
