/** What older releases of PyTorch did otherwise. */

/** A release of PyTorch: [1, 10] for 1.10. */
export type Release = readonly [major: number, minor: number];

/**
 * Before 1.10 relu kept its input for backward, since then its result, which the next layer most often keeps anyway
 * (pytorch/pytorch#63089).
 */
const RELU_KEEPS_RESULT: Release = [1, 10];
/** Before 1.11 softmax kept its input beside its result: derivatives.yaml passed all of it for its type. */
const SOFTMAX_KEEPS_RESULT: Release = [1, 11];

/** Null or nothing stands for the newest release. */
export const reluKeepsInput = (release: Release | null | undefined): boolean => isBefore(release, RELU_KEEPS_RESULT);
export const softmaxKeepsInput = (release: Release | null | undefined): boolean => isBefore(release, SOFTMAX_KEEPS_RESULT);

function isBefore(release: Release | null | undefined, [major, minor]: Release): boolean {
  return release != null && (release[0] < major || (release[0] === major && release[1] < minor));
}
