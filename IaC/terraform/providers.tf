provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Service = var.service_name, ManagedBy = "terraform" }, var.tags)
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
