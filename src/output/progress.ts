/** Progress on stderr: a spinner where a person watches, a line per step where a log is kept, nothing when asked to be quiet. */
import type { Ora } from 'ora';

export interface Progress {
  update(text: string): void;
  /** Clears the spinner; lines that were printed stay. */
  stop(): void;
}

const SILENT: Progress = { update() {}, stop() {} };

export function createProgress(options: { silent: boolean }): Progress {
  if (options.silent) return SILENT;
  return process.stderr.isTTY ? spinner() : lines();
}

function lines(): Progress {
  let last = '';
  return {
    update(text) {
      if (text !== last) process.stderr.write(`${text}\n`);
      last = text;
    },
    stop() {},
  };
}

/** ora takes 75 ms to load, so it is fetched when the first step is reported, and that step must not wait for it. */
function spinner(): Progress {
  let current: string | null = null;
  let ora: Ora | null = null;
  let loading = false;
  const show = async () => {
    const { default: create } = await import('ora');
    // discardStdin would put the terminal into raw mode, where Ctrl-C no longer reaches our children
    if (current !== null) ora = create({ text: current, stream: process.stderr, discardStdin: false }).start();
  };
  return {
    update(text) {
      current = text;
      if (ora) ora.text = text;
      else if (!loading) {
        loading = true;
        void show();
      }
    },
    stop() {
      current = null;
      ora?.stop();
      ora = null;
      loading = false;
    },
  };
}
