"""What the README's figures are printed by: ``python -m benchmarks [--quick]``.

Each module measures one thing and runs by itself too: ``python -m benchmarks.indexing --quick``.
"""
