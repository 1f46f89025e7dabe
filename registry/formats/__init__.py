"""Formats: one folder per package type. A format imports the kernel, never another format.

A format is its `FORMAT` (see `registry.server.routes.Format`): package type, routes with their abilities, how it says
no. To add one: write the folder, name it in `registry.app.FORMATS`.
"""
