import { spawnSync } from 'node:child_process';

/** Builds once before the e2e tests. Type errors are `npm run types`'s to report: what compiled can be tried. */
export default function build(): void {
  spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
}
