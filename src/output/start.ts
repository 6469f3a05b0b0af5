/** What bin/run.js needs of the program, in one file, so that the build can pack it. */
export { run } from '@oclif/core/run';
export { reportFailure, wantsJson } from './report.js';
