#!/usr/bin/env bash
# Everything that has to pass, from a fresh checkout: installs what the tests need, then checks format and lint, types,
# the build, and runs every test. Needs Node >= 20.19 and Python 3 with pip and venv.
set -euo pipefail
cd "$(dirname "$0")/.."

npm ci
npm run check
npm run types
npm run build
node bin/run.js engines install torch
node bin/run.js engines install tfjs
npm test
