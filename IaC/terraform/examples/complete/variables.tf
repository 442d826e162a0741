variable "image_tag" {
  description = "Tag of the image in the repository of the module."
  type        = string
}

variable "billing_state_machine_arn" {
  description = "State machine of the workflow billing, by an alias."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate for orders.example.com, in the region of the provider."
  type        = string
}

variable "hosted_zone_id" {
  description = "Hosted zone of example.com in Route 53."
  type        = string
}

variable "kms_key_arn" {
  description = "KMS key for stored data."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of all roles."
  type        = string
}
