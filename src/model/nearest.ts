/** Names that a mistyped one may have meant: shared with the rooms beside this one. */
export { nearestNames } from '../nearest.js';
