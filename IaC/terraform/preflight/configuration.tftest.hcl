# For `python -m tools.preflight`, which reads policies, workflows and settings from this run's state. A plan does not have
# them before the first apply, because they refer to resources that do not exist; here a mocked provider makes those up. The
# variables are those of terraform.tfvars.
mock_provider "aws" {
  source = "./modules/sync-front/tests/mocks"
}

run "configuration" {}
