"""What kmodmon is made of: lock files, the list of components of the wheel, the wheel itself, and the oldest versions.

`make lock` writes packaging/requirements*.txt: exact versions with the hashes of every file that the package index
offers, for all platforms and for every Python that pyproject.toml allows. `make run` and `make test` install from them.
"""
