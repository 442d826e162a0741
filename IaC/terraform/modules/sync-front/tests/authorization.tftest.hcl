# The ways to decide who may call; NONE is in api.tftest.hcl, and AWS_IAM in variations.tftest.hcl.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "api_keys_with_usage_plans" {
  command = plan

  plan_options {
    target = [aws_api_gateway_rest_api.main, aws_cloudformation_stack.usage_plans]
  }

  variables {
    api_authorization = "API_KEY"
    api_usage_plans = {
      standard  = { rate = 10, burst = 20, quota = { limit = 100000, period = "DAY" }, keys = ["orders", "billing-nightly"] }
      unlimited = { rate = 50, burst = 100, keys = ["shop"] }
    }
  }

  override_resource {
    target          = aws_cloudformation_stack.usage_plans
    override_during = plan
    values          = { outputs = { Keyorders = "k1", KeybillingXnightly = "k2", Keyshop = "k3" } }
  }

  assert {
    condition = jsonencode([for method in [
      local.api_document.paths["/event"].post, local.api_document.paths["/event/{id}"].get, local.api_document.paths["/event/{id}"].delete,
      local.api_document.paths["/event/{id}/retry"].post,
    ] : [method.security, method["x-amazon-apigateway-integration"].requestParameters["integration.request.header.X-Caller-Id"]]]) == jsonencode([for _ in range(4) : [[{ api_key = [] }], "context.identity.apiKeyId"]])
    error_message = "Each method must require a key, and tell the service which one."
  }
  assert {
    condition     = jsonencode(local.api_document.components.securitySchemes) == jsonencode({ api_key = { type = "apiKey", name = "x-api-key", in = "header" } })
    error_message = "API Gateway requires a key for this scheme, and for no other name of the header."
  }
  assert {
    condition = jsonencode(jsondecode(aws_cloudformation_stack.usage_plans[0].template_body).Resources) == jsonencode({
      Planstandard = {
        Type = "AWS::ApiGateway::UsagePlan"
        Properties = {
          UsagePlanName = "sync-front-standard"
          ApiStages     = [{ ApiId = { Ref = "Api" }, Stage = { Ref = "Stage" } }]
          Throttle      = { RateLimit = 10, BurstLimit = 20 }
          Quota         = { Limit = 100000, Period = "DAY" }
        }
      }
      Planunlimited = {
        Type = "AWS::ApiGateway::UsagePlan"
        Properties = {
          UsagePlanName = "sync-front-unlimited"
          ApiStages     = [{ ApiId = { Ref = "Api" }, Stage = { Ref = "Stage" } }]
          Throttle      = { RateLimit = 50, BurstLimit = 100 }
        }
      }
      Keyorders                = { Type = "AWS::ApiGateway::ApiKey", Properties = { Name = "sync-front-orders", Enabled = true } }
      KeybillingXnightly       = { Type = "AWS::ApiGateway::ApiKey", Properties = { Name = "sync-front-billing-nightly", Enabled = true } }
      Keyshop                  = { Type = "AWS::ApiGateway::ApiKey", Properties = { Name = "sync-front-shop", Enabled = true } }
      KeyordersInPlan          = { Type = "AWS::ApiGateway::UsagePlanKey", Properties = { KeyId = { Ref = "Keyorders" }, KeyType = "API_KEY", UsagePlanId = { Ref = "Planstandard" } } }
      KeybillingXnightlyInPlan = { Type = "AWS::ApiGateway::UsagePlanKey", Properties = { KeyId = { Ref = "KeybillingXnightly" }, KeyType = "API_KEY", UsagePlanId = { Ref = "Planstandard" } } }
      KeyshopInPlan            = { Type = "AWS::ApiGateway::UsagePlanKey", Properties = { KeyId = { Ref = "Keyshop" }, KeyType = "API_KEY", UsagePlanId = { Ref = "Planunlimited" } } }
    })
    error_message = "Each key must be in its plan, and each plan must be for the stage."
  }
  assert {
    condition     = aws_cloudformation_stack.usage_plans[0].parameters.Stage == "dev" && jsonencode(output.api_key_ids) == jsonencode({ orders = "k1", billing-nightly = "k2", shop = "k3" })
    error_message = "The plans must be those of the stage, and the output must name the id of each key."
  }
}

run "a_lambda_authorizer" {
  command = plan

  plan_options {
    target = [aws_api_gateway_rest_api.main, aws_iam_role_policy.authorizer]
  }

  variables {
    api_authorization  = "LAMBDA"
    api_authorizer_arn = "arn:aws:lambda:us-east-1:123456789012:function:authorizer"
    api_caller         = "context.authorizer.tenant"
  }

  override_resource {
    target          = aws_iam_role.authorizer
    override_during = plan
    values          = { arn = "arn:aws:iam::123456789012:role/authorizer" }
  }

  assert {
    condition = jsonencode(local.api_document.components.securitySchemes.authorizer) == jsonencode({
      type                           = "apiKey"
      name                           = "Authorization"
      in                             = "header"
      "x-amazon-apigateway-authtype" = "custom"
      "x-amazon-apigateway-authorizer" = {
        type                         = "request"
        authorizerUri                = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:authorizer/invocations"
        authorizerCredentials        = "arn:aws:iam::123456789012:role/authorizer"
        identitySource               = "method.request.header.Authorization"
        authorizerResultTtlInSeconds = 300
      }
    }) && jsonencode(local.api_document.paths["/event"].post.security) == jsonencode([{ authorizer = [] }])
    error_message = "API Gateway must ask the function, with a role that may call it."
  }
  assert {
    condition     = jsonencode(jsondecode(aws_iam_role_policy.authorizer[0].policy).Statement) == jsonencode([{ Effect = "Allow", Action = "lambda:InvokeFunction", Resource = var.api_authorizer_arn }])
    error_message = "API Gateway may call this function, and nothing else."
  }
  assert {
    condition     = local.integrations["post /event"].requestParameters["integration.request.header.X-Caller-Id"] == "context.authorizer.tenant"
    error_message = "api_caller must name the caller."
  }
}

run "a_cognito_user_pool" {
  command = plan

  plan_options {
    target = [aws_api_gateway_rest_api.main]
  }

  variables {
    api_authorization  = "COGNITO"
    api_authorizer_arn = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEf123"
    api_scopes         = ["events/write"]
  }

  assert {
    condition = jsonencode(local.api_document.components.securitySchemes.authorizer) == jsonencode({
      type                             = "apiKey"
      name                             = "Authorization"
      in                               = "header"
      "x-amazon-apigateway-authtype"   = "cognito_user_pools"
      "x-amazon-apigateway-authorizer" = { type = "cognito_user_pools", providerARNs = [var.api_authorizer_arn] }
    }) && jsonencode(local.api_document.paths["/event/{id}"].delete.security) == jsonencode([{ authorizer = ["events/write"] }])
    error_message = "API Gateway must ask the user pool, for a token with the scope."
  }
  assert {
    condition     = local.integrations["get /event/{id}"].requestParameters["integration.request.header.X-Caller-Id"] == "context.authorizer.claims.sub" && length(aws_iam_role.authorizer) == 0
    error_message = "The subject of the token must name the caller."
  }
}
