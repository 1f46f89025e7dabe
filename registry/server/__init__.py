"""The aiohttp edge: routes, credentials, bodies, responses."""
