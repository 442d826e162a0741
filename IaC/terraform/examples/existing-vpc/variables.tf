variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "private_subnet_ids" {
  description = "Private subnets with access to the internet, in two or three zones."
  type        = list(string)
}

variable "image_uri" {
  description = "Image of the service, in a registry that tasks can reach."
  type        = string
}
