# The only path through the network: VPC link -> load balancer -> tasks -> HTTPS to AWS.
resource "aws_security_group" "link" {
  name        = "${local.name}-link"
  description = "VPC link of API Gateway"
  vpc_id      = local.vpc_id

  tags = { Name = "${local.name}-link" }
}

resource "aws_security_group" "balancer" {
  name        = "${local.name}-balancer"
  description = "Internal load balancer"
  vpc_id      = local.vpc_id

  tags = { Name = "${local.name}-balancer" }
}

resource "aws_security_group" "tasks" {
  name        = "${local.name}-tasks"
  description = "Tasks of the service"
  vpc_id      = local.vpc_id

  tags = { Name = "${local.name}-tasks" }
}

resource "aws_vpc_security_group_egress_rule" "link_to_balancer" {
  security_group_id            = aws_security_group.link.id
  referenced_security_group_id = aws_security_group.balancer.id
  description                  = "Requests to the load balancer"
  ip_protocol                  = "tcp"
  from_port                    = local.listener_port
  to_port                      = local.listener_port
}

resource "aws_vpc_security_group_ingress_rule" "balancer_from_link" {
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = aws_security_group.link.id
  description                  = "Requests from API Gateway"
  ip_protocol                  = "tcp"
  from_port                    = local.listener_port
  to_port                      = local.listener_port
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_tasks" {
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = aws_security_group.tasks.id
  description                  = "Requests and health checks"
  ip_protocol                  = "tcp"
  from_port                    = local.container_port
  to_port                      = local.container_port
}

resource "aws_vpc_security_group_ingress_rule" "tasks_from_balancer" {
  security_group_id            = aws_security_group.tasks.id
  referenced_security_group_id = aws_security_group.balancer.id
  description                  = "Requests and health checks"
  ip_protocol                  = "tcp"
  from_port                    = local.container_port
  to_port                      = local.container_port
}

# AppSync, Step Functions and the others have no fixed addresses. DNS goes to the VPC's resolver, which needs no rule.
resource "aws_vpc_security_group_egress_rule" "tasks_to_aws" {
  security_group_id = aws_security_group.tasks.id
  description       = "HTTPS to AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
