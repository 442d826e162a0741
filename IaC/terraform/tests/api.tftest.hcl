# The API is one document, whose words neither Terraform nor its provider knows: a misspelt one would be applied in
# silence.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "the_document_of_the_api" {
  plan_options {
    target = [aws_api_gateway_rest_api.main, aws_api_gateway_method_settings.all]
  }

  assert {
    condition = jsonencode({ for path, methods in jsondecode(aws_api_gateway_rest_api.main.body).paths : path => sort(keys(methods)) }) == jsonencode({
      "/event"      = ["post"]
      "/event/{id}" = ["delete", "get"]
    })
    error_message = "The paths and methods are the contract's."
  }
  assert {
    condition = jsonencode(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event"].post["x-amazon-apigateway-integration"]) == jsonencode({
      type                = "http_proxy"
      httpMethod          = "POST"
      uri                 = "http://internal-sync-front-1.us-east-1.elb.amazonaws.com/event"
      connectionType      = "VPC_LINK"
      connectionId        = aws_apigatewayv2_vpc_link.main.id
      integrationTarget   = aws_lb.main.arn
      timeoutInMillis     = 29000
      passthroughBehavior = "when_no_match"
    })
    error_message = "POST /event must go over the VPC link to the balancer."
  }
  assert {
    condition = alltrue([for method in ["get", "delete"] :
      jsonencode(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event/{id}"][method]["x-amazon-apigateway-integration"]) == jsonencode({
        type                = "http_proxy"
        httpMethod          = upper(method)
        uri                 = "http://internal-sync-front-1.us-east-1.elb.amazonaws.com/event/{id}"
        connectionType      = "VPC_LINK"
        connectionId        = aws_apigatewayv2_vpc_link.main.id
        integrationTarget   = aws_lb.main.arn
        timeoutInMillis     = 29000
        passthroughBehavior = "when_no_match"
        requestParameters   = { "integration.request.path.id" = "method.request.path.id" }
      })
    ])
    error_message = "The id must be passed on in the path."
  }
  assert {
    condition = alltrue([for method in ["get", "delete"] :
      jsondecode(aws_api_gateway_rest_api.main.body).paths["/event/{id}"][method].parameters[0] == { name = "id", in = "path", required = true, schema = { type = "string" } }
    ])
    error_message = "A parameter that an integration uses must be declared."
  }
  assert {
    condition     = local.api_document["x-amazon-apigateway-request-validator"] == "everything" && local.api_document["x-amazon-apigateway-request-validators"].everything == { validateRequestBody = true, validateRequestParameters = true }
    error_message = "The validator must exist and be the default one."
  }
  assert {
    condition     = local.api_document.paths["/event"].post.requestBody.content["application/json"].schema["$ref"] == "#/components/schemas/Event"
    error_message = "POST /event must name the schema."
  }
  assert {
    condition     = merge(local.api_document.components.schemas.Event, { "$schema" = "http://json-schema.org/draft-04/schema#" }) == jsondecode(file("../request.schema.json"))
    error_message = "The schema must be the service's, and of draft 4, which is the one that API Gateway knows."
  }
  assert {
    condition = alltrue([for type, response in local.api_document["x-amazon-apigateway-gateway-responses"] :
      response.responseParameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
      && startswith(jsondecode(response.responseTemplates["application/json"]).type, "urn:problem-type:sync-front:")
      && try(jsondecode(response.responseTemplates["application/json"]).status == response.statusCode, startswith(type, "DEFAULT_"))
    ])
    error_message = "Each must be a problem of RFC 9457 whose status is the answer's."
  }
  assert {
    condition     = alltrue(flatten([for path in values(local.api_document.paths) : [for method in values(path) : length(method.security) == 0]]))
    error_message = "NONE must ask for no signature."
  }
  assert {
    condition     = !aws_api_gateway_method_settings.all.settings[0].data_trace_enabled && aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 50
    error_message = "Bodies must not be logged, and the rate must be limited."
  }
}
