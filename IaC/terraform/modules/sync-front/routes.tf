# The paths of the API: the same ones for each workflow.
locals {
  # Below a workflow's path: methods, and what they do. `options` are preflight requests of browsers (CORS).
  routes = {
    ""            = { post = "create", options = "create" }
    "/{id}"       = { get = "read", delete = "stop", options = "read" }
    "/{id}/retry" = { post = "retry", options = "retry" }
  }

  # Only what may wait is streamed, and only streamed responses may take longer than the quota.
  waiting = ["create", "read", "retry"]

  id_parameter = { name = "id", in = "path", required = true, schema = { type = "string" } }

  # Names of models and operations have only letters and digits, and those of workflows no capital letters.
  titles = { for name in keys(local.workflows) : name => title(replace(name, "-", "X")) }

  # API Gateway reads schemas as JSON Schema draft 4, without references, and OpenAPI does not allow the keyword that names
  # the draft. Bodies that have to match other schemas are checked by the service alone.
  models = { for name, workflow in local.workflows : local.titles[name] => { for word, value in jsondecode(workflow.request_schema) : word => value if word != "$schema" }
    if try(startswith(jsondecode(workflow.request_schema)["$schema"], "http://json-schema.org/draft-04/schema") && !strcontains(workflow.request_schema, "\"$ref\""), false)
  }

  operations = merge([for name, workflow in local.workflows : merge([for path, methods in local.routes : {
    for method, verb in methods : "${method} ${workflow.path}${path}" => {
      path        = "${workflow.path}${path}"
      method      = method
      id          = "${verb}${local.titles[name]}${method == "options" ? "Preflight" : ""}"
      model       = path == "" && method == "post" && contains(keys(local.models), local.titles[name]) ? local.titles[name] : null
      has_id      = path != ""
      is_signed   = method != "options"
      is_streamed = var.response_streaming && method != "options" && contains(local.waiting, verb)
    } if method != "options" || length(var.cors_origins) > 0
  }]...)]...)

  api_paths = { for path in distinct(values(local.operations)[*].path) : path => { for route, operation in local.operations : operation.method => { for key, value in {
    operationId                       = operation.id
    security                          = operation.is_signed ? local.security : null
    parameters                        = operation.has_id ? [local.id_parameter] : null
    requestBody                       = operation.model == null ? null : { required = true, content = { "application/json" = { schema = { "$ref" = "#/components/schemas/${operation.model}" } } } }
    responses                         = {}
    "x-amazon-apigateway-integration" = local.integrations[route]
  } : key => value if value != null } if operation.path == path } }

  integrations = { for route, operation in local.operations : route => merge(
    {
      type                = "http_proxy"
      httpMethod          = upper(operation.method)
      uri                 = "${local.balancer_url}${operation.path}"
      connectionType      = "VPC_LINK"
      connectionId        = aws_apigatewayv2_vpc_link.main.id
      integrationTarget   = aws_lb.main.arn
      timeoutInMillis     = 1000 * (var.response_streaming && !operation.is_streamed ? 29 : local.timeouts.api_gateway)
      passthroughBehavior = "when_no_match"
    },
    operation.is_streamed ? { responseTransferMode = "STREAM" } : {},
    { for name, parameters in { requestParameters = merge(
      operation.has_id ? { "integration.request.path.id" = "method.request.path.id" } : {},
      operation.is_signed ? local.caller_parameters : {}, # preflight requests have no caller
    ) } : name => parameters if length(parameters) > 0 },
  ) }
}
