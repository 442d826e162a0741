# The API is one document. Neither Terraform nor its provider checks its keys, so a misspelt one would be applied silently.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
}

run "api_document" {
  plan_options {
    target = [aws_api_gateway_rest_api.main, aws_api_gateway_method_settings.all]
  }

  assert {
    condition = jsonencode({ for path, methods in jsondecode(aws_api_gateway_rest_api.main.body).paths : path => sort(keys(methods)) }) == jsonencode({
      "/event"            = ["post"]
      "/event/{id}"       = ["delete", "get"]
      "/event/{id}/retry" = ["post"]
    })
    error_message = "The API must have exactly the paths and methods of the contract."
  }
  assert {
    condition = jsonencode(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event"].post["x-amazon-apigateway-integration"]) == jsonencode({
      type                 = "http_proxy"
      httpMethod           = "POST"
      uri                  = "http://internal-sync-front-1.us-east-1.elb.amazonaws.com/event"
      connectionType       = "VPC_LINK"
      connectionId         = aws_apigatewayv2_vpc_link.main.id
      integrationTarget    = aws_lb.main.arn
      timeoutInMillis      = 900000
      passthroughBehavior  = "when_no_match"
      responseTransferMode = "STREAM"
    })
    error_message = "POST /event must go through the VPC link to the load balancer."
  }
  assert {
    condition = alltrue([for method in ["get", "delete"] :
      jsonencode(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event/{id}"][method]["x-amazon-apigateway-integration"]) == jsonencode(merge(method == "get" ? { responseTransferMode = "STREAM" } : {}, {
        type                                                                                                                                                                                  = "http_proxy"
        httpMethod                                                                                                                                                                            = upper(method)
        uri                                                                                                                                                                                   = "http://internal-sync-front-1.us-east-1.elb.amazonaws.com/event/{id}"
        connectionType                                                                                                                                                                        = "VPC_LINK"
        connectionId                                                                                                                                                                          = aws_apigatewayv2_vpc_link.main.id
        integrationTarget                                                                                                                                                                     = aws_lb.main.arn
        timeoutInMillis                                                                                                                                                                       = method == "get" ? 900000 : 29000
        passthroughBehavior                                                                                                                                                                   = "when_no_match"
        requestParameters                                                                                                                                                                     = { "integration.request.path.id" = "method.request.path.id" }
      }))
    ])
    error_message = "GET and DELETE must pass the id on in the path. Only GET may wait, so only GET is streamed."
  }
  assert {
    condition = jsonencode(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event/{id}/retry"].post["x-amazon-apigateway-integration"]) == jsonencode({
      type                 = "http_proxy"
      httpMethod           = "POST"
      uri                  = "http://internal-sync-front-1.us-east-1.elb.amazonaws.com/event/{id}/retry"
      connectionType       = "VPC_LINK"
      connectionId         = aws_apigatewayv2_vpc_link.main.id
      integrationTarget    = aws_lb.main.arn
      timeoutInMillis      = 900000
      passthroughBehavior  = "when_no_match"
      responseTransferMode = "STREAM"
      requestParameters    = { "integration.request.path.id" = "method.request.path.id" }
    }) && jsonencode(jsondecode(aws_api_gateway_rest_api.main.body).paths["/event/{id}/retry"].post.parameters) == jsonencode([local.id_parameter])
    error_message = "A retry must wait like POST /event, and pass the id on in the path."
  }
  assert {
    condition = alltrue([for method in ["get", "delete"] :
      jsondecode(aws_api_gateway_rest_api.main.body).paths["/event/{id}"][method].parameters[0] == { name = "id", in = "path", required = true, schema = { type = "string" } }
    ])
    error_message = "The path parameter that the integrations use must be declared."
  }
  assert {
    condition     = local.api_document["x-amazon-apigateway-request-validator"] == "everything" && local.api_document["x-amazon-apigateway-request-validators"].everything == { validateRequestBody = true, validateRequestParameters = true }
    error_message = "The request validator must exist and be the default."
  }
  assert {
    condition     = local.api_document.paths["/event"].post.requestBody.content["application/json"].schema["$ref"] == "#/components/schemas/Event"
    error_message = "POST /event must refer to the schema."
  }
  assert {
    condition     = merge(local.api_document.components.schemas.Event, { "$schema" = "http://json-schema.org/draft-04/schema#" }) == jsondecode(file("../../../request.schema.json"))
    error_message = "The schema must be the service's own, and of draft 4, the one that API Gateway supports."
  }
  assert {
    condition = alltrue([for type, response in local.api_document["x-amazon-apigateway-gateway-responses"] :
      response.responseParameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
      && startswith(jsondecode(response.responseTemplates["application/json"]).type, "urn:problem-type:sync-front:")
      && try(jsondecode(response.responseTemplates["application/json"]).status == response.statusCode, startswith(type, "DEFAULT_"))
    ])
    error_message = "Each gateway response must be an RFC 9457 problem with the status of the response."
  }
  assert {
    condition     = alltrue(flatten([for path in values(local.api_document.paths) : [for method in values(path) : length(method.security) == 0]]))
    error_message = "With NONE, no method may require anything."
  }
  assert {
    condition     = length(local.api_document.components.securitySchemes) == 0 && !strcontains(aws_api_gateway_rest_api.main.body, local.caller_header)
    error_message = "With NONE, nobody can tell who calls, so the document must not pretend to."
  }
  assert {
    condition     = !aws_api_gateway_method_settings.all.settings[0].data_trace_enabled && aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 50
    error_message = "Bodies must not be logged, and the rate must be limited."
  }
}
