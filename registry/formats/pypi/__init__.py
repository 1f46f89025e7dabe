"""PyPI: twine's legacy upload, PEP 503 and PEP 691 simple pages, files. Its `FORMAT` is in `routes`.

Nothing is imported here: the archive readers run in small child processes.
"""
