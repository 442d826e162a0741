provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Service = var.service_name, ManagedBy = "terraform" }, var.tags)
  }
}
