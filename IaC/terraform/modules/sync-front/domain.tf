# A domain name of one's own for the API. The stage stays in the path, so a Location is right for both names of the API.
resource "aws_api_gateway_domain_name" "main" {
  count = var.custom_domain == null ? 0 : 1

  domain_name              = var.custom_domain.domain_name
  regional_certificate_arn = var.custom_domain.certificate_arn
  security_policy          = "TLS_1_2"

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_base_path_mapping" "main" {
  count = var.custom_domain == null ? 0 : 1

  api_id      = aws_api_gateway_rest_api.main.id
  stage_name  = aws_api_gateway_stage.main.stage_name
  domain_name = aws_api_gateway_domain_name.main[0].domain_name
  base_path   = var.stage_name
}

resource "aws_route53_record" "main" {
  count = try(var.custom_domain.hosted_zone_id, null) == null ? 0 : 1

  zone_id = var.custom_domain.hosted_zone_id
  name    = aws_api_gateway_domain_name.main[0].domain_name
  type    = "A"

  alias {
    name                   = aws_api_gateway_domain_name.main[0].regional_domain_name
    zone_id                = aws_api_gateway_domain_name.main[0].regional_zone_id
    evaluate_target_health = false
  }
}

locals {
  custom_domain_target = one([for domain in aws_api_gateway_domain_name.main : {
    domain_name    = domain.regional_domain_name
    hosted_zone_id = domain.regional_zone_id
  }])
}
