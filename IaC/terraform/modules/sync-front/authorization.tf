# Who may call the API, and how the service learns who does. API Gateway sets a header to what it has verified, and the
# service keeps callers apart by it.
locals {
  # The name of a scheme, and the scopes that a token needs.
  security = {
    NONE    = []
    AWS_IAM = [{ sigv4 = [] }]
    API_KEY = [{ api_key = [] }]
    LAMBDA  = [{ authorizer = [] }]
    COGNITO = [{ authorizer = var.api_scopes }]
  }[var.api_authorization]

  # See "x-amazon-apigateway-authtype" and "x-amazon-apigateway-authorizer" in the API Gateway Developer Guide.
  security_schemes = {
    NONE    = {}
    AWS_IAM = { sigv4 = { type = "apiKey", name = "Authorization", in = "header", "x-amazon-apigateway-authtype" = "awsSigv4" } }
    API_KEY = { api_key = { type = "apiKey", name = "x-api-key", in = "header" } }
    LAMBDA = { authorizer = {
      type                           = "apiKey"
      name                           = "Authorization"
      in                             = "header"
      "x-amazon-apigateway-authtype" = "custom"
      "x-amazon-apigateway-authorizer" = {
        type                         = "request"
        authorizerUri                = "arn:${local.partition}:apigateway:${local.region}:lambda:path/2015-03-31/functions/${coalesce(var.api_authorizer_arn, "none")}/invocations"
        authorizerCredentials        = one(aws_iam_role.authorizer[*].arn)
        identitySource               = "method.request.header.Authorization"
        authorizerResultTtlInSeconds = 300
      }
    } }
    COGNITO = { authorizer = {
      type                             = "apiKey"
      name                             = "Authorization"
      in                               = "header"
      "x-amazon-apigateway-authtype"   = "cognito_user_pools"
      "x-amazon-apigateway-authorizer" = { type = "cognito_user_pools", providerARNs = [var.api_authorizer_arn] }
    } }
  }[var.api_authorization]

  caller_header = "X-Caller-Id"

  caller = var.api_authorization == "NONE" ? null : coalesce(var.api_caller, {
    AWS_IAM = "context.identity.userArn"
    API_KEY = "context.identity.apiKeyId"
    LAMBDA  = "context.authorizer.principalId"
    COGNITO = "context.authorizer.claims.sub"
  }[var.api_authorization])

  # Proxy integrations have parameter mapping as well ("Parameter mapping for REST APIs", same guide). The mapped header
  # replaces one of the same name that a caller sent. The guide does not say so; LocalStack has recorded it of AWS
  # (test_apigateway_integrations.py, test_apigateway_header_remapping_http[HTTP_PROXY]). The service would refuse two.
  caller_parameters = local.caller == null ? {} : { "integration.request.header.${local.caller_header}" = local.caller }
}
