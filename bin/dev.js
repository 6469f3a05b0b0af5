#!/usr/bin/env node
// Builds, then runs: for trying a change from a checkout.
await import('../scripts/build.mjs');
await import('./run.js');
