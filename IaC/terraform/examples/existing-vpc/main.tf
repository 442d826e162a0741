# Two deployments in a network that exists: one module call with `for_each`. The account's role for the logs of API Gateway
# is set elsewhere, because there is only one for both, and for all other APIs.
terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

locals {
  fronts = {
    orders  = { image_uri = var.image_uri, tasks = { min = 2, max = 10 } }
    billing = { image_uri = var.image_uri, tasks = { min = 1, max = 2 } }
  }
}

module "sync_front" {
  source   = "../../modules/sync-front"
  for_each = local.fronts

  service_name  = "${each.key}-front"
  workflow_name = each.key
  image_uri     = each.value.image_uri
  task_count    = each.value.tasks

  existing_vpc = {
    id                 = var.vpc_id
    private_subnet_ids = var.private_subnet_ids
  }

  manage_api_gateway_account = false
}

output "api_endpoints" {
  description = "Base URL of each API."
  value       = { for name, front in module.sync_front : name => front.api_endpoint }
}
