"""Mutation tests: whether the tests notice realistic faults of one line.

`make mutants` puts a fixed sample of faults into copies of the tree, one at a time, and runs the tests that execute the
faulty line. mutmut and cosmic-ray could do it, too, but they run one fixed command for all mutants or choose tests by
function, sample nothing by seed, and their faults are changes of tokens. This tool is small: faults of one line that
resemble what people get wrong, tests chosen by line from coverage's contexts, and a sample that a seed repeats.
"""
