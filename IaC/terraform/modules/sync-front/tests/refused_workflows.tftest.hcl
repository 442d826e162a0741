# Invalid workflows, each for one reason. The plan must refuse them: tasks with such a setting would not start.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "1.2.3"
  orders    = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
}

run "a_name_that_the_service_does_not_know" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { Orders = { state_machine_arn = var.orders, path = "/orders" } }
  }
}

run "neither_a_definition_nor_a_state_machine" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = {} }
  }
}

run "an_execution_instead_of_a_state_machine" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = { state_machine_arn = "arn:aws:states:us-east-1:123456789012:execution:orders:1" } }
  }
}

run "statements_for_a_state_machine_that_exists" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = { state_machine_arn = var.orders, role_statements = [{ actions = ["sqs:SendMessage"], resources = ["*"] }] } }
  }
}

run "a_path_of_the_service" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { docs = { state_machine_arn = var.orders } }
  }
}

run "a_path_below_another" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { a = { state_machine_arn = var.orders }, b = { state_machine_arn = var.orders, path = "/a/b" } }
  }
}

run "an_unknown_mode" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = { state_machine_arn = var.orders, input = "raw" } }
  }
}

run "half_a_second" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = { state_machine_arn = var.orders, response_timeout = 0.5 } }
  }
}

run "a_success_for_an_error" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = { state_machine_arn = var.orders, errors = { OutOfStock = 200 } } }
  }
}

run "a_check_without_a_schema" {
  command         = plan
  expect_failures = [var.workflows]

  plan_options {
    target = [terraform_data.timeout_chain]
  }

  variables {
    workflows = { orders = { state_machine_arn = var.orders, check_results = true } }
  }
}
