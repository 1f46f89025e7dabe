"""npm: publish, packuments, dist-tags, tarballs, and what else npm clients ask. Its `FORMAT` is in `routes`.

Nothing is imported here: the archive readers run in small child processes.
"""
