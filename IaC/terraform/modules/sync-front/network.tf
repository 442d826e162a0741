# A new VPC, or an existing one. AppSync Events has no private endpoint, so tasks reach it through NAT.
locals {
  create_vpc = var.existing_vpc == null

  zones     = local.create_vpc ? { for index, zone in slice(data.aws_availability_zones.available.names, 0, var.zone_count) : zone => index } : {}
  nat_zones = var.nat_gateway_per_zone ? local.zones : { for zone, index in local.zones : zone => index if index == 0 }

  vpc_id             = local.create_vpc ? aws_vpc.main[0].id : var.existing_vpc.id
  private_subnet_ids = local.create_vpc ? [for subnet in aws_subnet.private : subnet.id] : var.existing_vpc.private_subnet_ids

  # The zones that VPC links do not support ("Set up VPC links V2 in API Gateway"). They have ids here, because a name such
  # as us-east-1a belongs to another zone in each account.
  zones_without_links = ["ape1-az1", "apne1-az3", "apne2-az4", "cac1-az4", "euw3-az2", "use1-az3", "usw1-az2"]
}

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:only the first zone_count names in alphabetical order are used, and AWS gives later letters to new zones
  state            = "available"
  exclude_zone_ids = local.zones_without_links

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

# By number, because the ids may be those of subnets that the same apply creates.
data "aws_subnet" "existing" {
  count = local.create_vpc ? 0 : length(var.existing_vpc.private_subnet_ids)

  id = var.existing_vpc.private_subnet_ids[count.index]
}

resource "aws_vpc" "main" {
  count = local.create_vpc ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = local.name }
}

# Without rules, because the default group applies to everything that names no group.
resource "aws_default_security_group" "none" {
  count = local.create_vpc ? 1 : 0

  vpc_id = aws_vpc.main[0].id
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id            = aws_vpc.main[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, each.value)

  tags = { Name = "${local.name}-private-${each.key}" }
}

resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id            = aws_vpc.main[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, 8 + each.value)

  tags = { Name = "${local.name}-public-${each.key}" }
}

resource "aws_internet_gateway" "main" {
  count = local.create_vpc ? 1 : 0

  vpc_id = aws_vpc.main[0].id

  tags = { Name = local.name }
}

resource "aws_route_table" "public" {
  count = local.create_vpc ? 1 : 0

  vpc_id = aws_vpc.main[0].id

  tags = { Name = "${local.name}-public" }
}

resource "aws_route" "internet" {
  count = local.create_vpc ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main[0].id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  for_each = local.nat_zones

  domain = "vpc"

  tags = { Name = "${local.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "main" {
  for_each = local.nat_zones

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "${local.name}-${each.key}" }

  depends_on = [aws_internet_gateway.main]
}

resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.main[0].id

  tags = { Name = "${local.name}-private-${each.key}" }
}

resource "aws_route" "nat" {
  for_each = local.zones

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = try(aws_nat_gateway.main[each.key].id, one(values(aws_nat_gateway.main)).id)
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

# Image layers come from S3. Through this endpoint they are free of charge, and avoid NAT.
resource "aws_vpc_endpoint" "s3" {
  count = local.create_vpc ? 1 : 0

  vpc_id            = aws_vpc.main[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]

  tags = { Name = "${local.name}-s3" }
}

# Rejected traffic only: logging the rest would cost more than it is worth.
resource "aws_flow_log" "rejected" {
  count = local.create_vpc ? 1 : 0

  vpc_id          = aws_vpc.main[0].id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.main["network"].arn
  iam_role_arn    = aws_iam_role.flow_logs[0].arn
}
