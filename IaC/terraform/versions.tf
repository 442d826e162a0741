terraform {
  # 1.11 for `terraform test` with mocks as it is used here. The provider's range holds one configuration for both major
  # versions: what only one of them knows is not used (see api.tf for the one place where that matters).
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}
