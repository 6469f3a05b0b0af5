#!/usr/bin/env node
import module from 'node:module';
import v8 from 'node:v8';

// Most commands are over before compiling pays: Node 22 and later keep the compiled code between runs and optimize late
if (module.enableCompileCache) module.enableCompileCache();
else for (const flag of ['--interrupt-budget=600000', '--max-inlined-bytecode-size-cumulative=2500']) v8.setFlagsFromString(flag);
// chalk knows FORCE_COLOR but not NO_COLOR
if (process.env.NO_COLOR || process.argv.includes('--no-color')) process.env.FORCE_COLOR = '0';

const { reportFailure, run, wantsJson } = await import('../dist/run/doors/start.js');
try {
  await run(process.argv.slice(2), import.meta.url);
} catch (error) {
  reportFailure(error, { json: wantsJson(process.argv.slice(2)), verbose: process.argv.includes('-v') });
}
