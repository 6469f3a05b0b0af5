/**
 * The errors that a user can meet. Every one carries what a person needs to go on: a stable `code` for scripts,
 * a `message` that names the file and field, what was found and what was expected, and a `hint` with the next step.
 */

/** The exit codes of the contract that an error can end in; 0 is success and 128+n a signal. */
export type ErrorExitCode = 1 | 2 | 3 | 4 | 70;

export class BatchfitError extends Error {
  override readonly name: string = 'BatchfitError';

  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly exitCode: ErrorExitCode,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** Bad usage, bad model spec, bad configuration: exit 2. */
export class UsageError extends BatchfitError {
  override readonly name = 'UsageError';
  constructor(code: string, message: string, hint = '', options?: { cause?: unknown }) {
    super(code, message, hint, 2, options);
  }
}

/** Something that is needed is not here (an engine, a driver, a device, a program): exit 3. */
export class MissingError extends BatchfitError {
  override readonly name = 'MissingError';
  constructor(code: string, message: string, hint = '', options?: { cause?: unknown }) {
    super(code, message, hint, 3, options);
  }
}

/** The question could not be answered (an inconclusive probe, an unreadable device): exit 4. */
export class UndeterminedError extends BatchfitError {
  override readonly name = 'UndeterminedError';
  constructor(code: string, message: string, hint = '', options?: { cause?: unknown }) {
    super(code, message, hint, 4, options);
  }
}

/** Something to tell the user that does not stop the work; `hint` names the flag or step that cures it. */
export interface Warning {
  code: string;
  message: string;
  hint: string;
}
