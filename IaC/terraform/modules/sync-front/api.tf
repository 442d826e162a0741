# The public entry: a regional REST API that forwards requests through a VPC link to the internal load balancer.
#
# It is one OpenAPI document rather than a resource per method, because a private integration with a load balancer needs
# `integrationTarget`, for which version 5 of the provider has no argument. Terraform cannot check the keys of a document,
# so tests/api.tftest.hcl does.
locals {
  # API Gateway's own errors have the same form as the service's problems (RFC 9457). A null status keeps the status that
  # API Gateway chose.
  gateway_problems = {
    BAD_REQUEST_BODY             = { status = 422, slug = "schema-violation", title = "The body does not match the schema", detail = "The body is not JSON or does not match the schema." }
    REQUEST_TOO_LARGE            = { status = 413, slug = "body-too-large", title = "The body is too large", detail = "A workflow's input may have at most 256 KiB." }
    THROTTLED                    = { status = 429, slug = "gateway-throttled", title = "Too many requests", detail = "The rate limit was exceeded. Nothing was started." }
    QUOTA_EXCEEDED               = { status = 429, slug = "gateway-quota-exceeded", title = "The quota is used up", detail = "The quota of this API key is used up. Nothing was started." }
    UNAUTHORIZED                 = { status = 401, slug = "gateway-unauthorized", title = "Not authorized", detail = "The token is missing or not valid. Nothing was started." }
    INVALID_API_KEY              = { status = 403, slug = "gateway-forbidden", title = "Not allowed", detail = "The API key is missing or not valid. Nothing was started." }
    ACCESS_DENIED                = { status = 403, slug = "gateway-forbidden", title = "Not allowed", detail = "The caller may not do this. Nothing was started." }
    WAF_FILTERED                 = { status = 403, slug = "gateway-filtered", title = "The request was blocked", detail = "A firewall rule blocks this request. Nothing was started." }
    MISSING_AUTHENTICATION_TOKEN = { status = 404, slug = "gateway-not-found", title = "Not found", detail = "The path or method does not exist, or the request is not signed." }
    INTEGRATION_TIMEOUT          = { status = 504, slug = "gateway-timeout", title = "The service did not respond in time", detail = "The workflow may have been started." }
    INTEGRATION_FAILURE          = { status = 503, slug = "gateway-unreachable", title = "The service is unreachable", detail = "The workflow may have been started." }
    DEFAULT_4XX                  = { status = null, slug = "gateway-refused", title = "The request was refused", detail = "Nothing was started." }
    DEFAULT_5XX                  = { status = null, slug = "gateway-failed", title = "The gateway failed", detail = "The gateway's log has the cause under this request id." }
  }

  api_document = {
    openapi = "3.0.1"
    info = {
      title       = local.name
      version     = "1"
      description = "A synchronous front for asynchronous workflows"
    }
    "x-amazon-apigateway-request-validators" = {
      everything = { validateRequestBody = true, validateRequestParameters = true }
    }
    "x-amazon-apigateway-request-validator" = "everything"

    paths = local.api_paths

    components = {
      schemas         = local.models
      securitySchemes = local.security_schemes
    }

    "x-amazon-apigateway-gateway-responses" = { for type, problem in local.gateway_problems : type => merge(
      problem.status == null ? {} : { statusCode = problem.status },
      {
        responseParameters = merge(
          { "gatewayresponse.header.Content-Type" = "'application/problem+json'" },
          # These responses contain no data, so any page may read them.
          length(var.cors_origins) > 0 ? { "gatewayresponse.header.Access-Control-Allow-Origin" = "'*'" } : {},
          contains(["THROTTLED", "INTEGRATION_FAILURE"], type) ? { "gatewayresponse.header.Retry-After" = "'1'" } : {},
          type == "UNAUTHORIZED" ? { "gatewayresponse.header.WWW-Authenticate" = "'Bearer'" } : {}, # RFC 9110, 15.5.2
        )
        responseTemplates = {
          "application/json" = jsonencode(merge(
            problem.status == null ? {} : { status = problem.status },
            {
              type       = "urn:problem-type:sync-front:${problem.slug}"
              title      = problem.title
              detail     = problem.detail
              request_id = "$context.requestId"
            },
          ))
        }
      },
    ) }
  }
}

resource "aws_apigatewayv2_vpc_link" "main" {
  name               = local.name
  subnet_ids         = local.private_subnet_ids
  security_group_ids = [aws_security_group.link.id]

  lifecycle {
    create_before_destroy = true # a link cannot be changed, and the API needs one while it gets another

    precondition {
      condition     = alltrue([for subnet in data.aws_subnet.existing : !contains(local.zones_without_links, subnet.availability_zone_id)])
      error_message = "existing_vpc has a subnet in an availability zone that VPC links do not support (${join(", ", local.zones_without_links)}): leave it out, or use one in another zone."
    }
  }
}

resource "aws_api_gateway_rest_api" "main" {
  name = local.name
  body = jsonencode(local.api_document)

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_deployment" "main" {
  rest_api_id = aws_api_gateway_rest_api.main.id

  triggers = {
    document = sha1(aws_api_gateway_rest_api.main.body)
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "main" {
  #checkov:skip=CKV_AWS_120:a response is one caller's result and must never go to another; GET reads a record that changes
  #checkov:skip=CKV2_AWS_77:the rules against Log4j are enabled; the check also wants AWSManagedRulesAnonymousIpList, which blocks callers in clouds, and the callers of this API are servers
  #checkov:skip=CKV2_AWS_51:only the VPC link reaches the back end: the load balancer admits its security group and no other
  rest_api_id          = aws_api_gateway_rest_api.main.id
  deployment_id        = aws_api_gateway_deployment.main.id
  stage_name           = var.stage_name
  xray_tracing_enabled = true

  # Time, outcome and latencies, but never content. The trace id leads to the service's own log.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.main["api"].arn
    format = jsonencode({
      requestId          = "$context.requestId"
      traceId            = "$context.xrayTraceId"
      time               = "$context.requestTime"
      method             = "$context.httpMethod"
      path               = "$context.resourcePath"
      status             = "$context.status"
      responseLength     = "$context.responseLength"
      responseLatency    = "$context.responseLatency"
      integrationLatency = "$context.integration.latency"
      integrationStatus  = "$context.integration.status"
      integrationError   = "$context.integration.error"
      waf                = "$context.wafResponseCode"
      error              = "$context.error.responseType"
    })
  }

  # API Gateway would create the log group of its errors itself when the stage first writes to it.
  depends_on = [aws_api_gateway_account.logs, aws_cloudwatch_log_group.main]
}

resource "aws_api_gateway_method_settings" "all" {
  #checkov:skip=CKV_AWS_225:a response is one caller's result and must never go to another
  rest_api_id = aws_api_gateway_rest_api.main.id
  stage_name  = aws_api_gateway_stage.main.stage_name
  method_path = "*/*"

  settings {
    metrics_enabled        = true
    logging_level          = "ERROR"
    data_trace_enabled     = false # would write bodies to the log
    caching_enabled        = false # a response is for one caller only
    throttling_rate_limit  = var.api_throttle.rate
    throttling_burst_limit = var.api_throttle.burst
  }
}

resource "aws_api_gateway_account" "logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.api_logs[0].arn

  depends_on = [aws_iam_role_policy_attachment.api_logs]
}
