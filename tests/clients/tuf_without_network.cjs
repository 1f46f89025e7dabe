// npm asks the public Sigstore TUF mirror which keys it knows for a registry, before it asks the registry for its own,
// and gives up without network. This stands in for that mirror: it knows no registry's keys, which is what it says of
// every registry but the public one. What npm does next, and how it verifies, is npm's own code.
const Module = require('node:module')
const load = Module._load
Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest)
  if (request !== '@sigstore/tuf') return loaded
  const initTUF = async () => ({
    getTarget: async (path) => {
      throw Object.assign(new Error(`no target ${path}`), { code: 'TUF_FIND_TARGET_ERROR' })
    },
  })
  return { ...loaded, initTUF }
}
