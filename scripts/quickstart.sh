#!/usr/bin/env bash
# From a fresh checkout to a measured plan: installs, builds, sets up native TensorFlow.js and plans a small CNN's training.
# Needs Node >= 20.19 and Python 3 with pip and venv.
set -euo pipefail
cd "$(dirname "$0")/.."

npm ci
npm run build
node bin/run.js engines install tfjs
node bin/run.js plan digits-cnn --probe --engine tfjs --dataset-size 1797 --memory-cap 1GiB --time-limit 2m
