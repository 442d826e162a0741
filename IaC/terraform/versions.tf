terraform {
  # `terraform test` with mocks, as used here, needs 1.11. The configuration works with both major versions of the provider:
  # it uses nothing that only one of them has (api.tf of the module is the one place where that matters).
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}
