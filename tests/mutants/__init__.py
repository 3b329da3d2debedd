"""Small changes of the product, made one at a time, and whether the tests that belong to the file notice.

`make mutants` tries all rooms of :mod:`tests.mutants.rooms`, `make mutants ROOM=lifecycle BUDGET=600` one of them for
ten minutes. Verdicts are kept in the cache by the content of the file, so the next run goes on where this one ended. A
mutant that behaves as the product does, or whose difference is of no matter, is listed in accepted.txt with the reason.

mutmut (3.8) was weighed and works here, but leaves out what matters most: decorated functions, among them every
property, and what is outside of functions, where this product keeps its tables. It runs one selection of tests for all
files, and knows neither a budget nor accepted survivors; with it come libcst, textual, coverage and their dependencies.
"""
