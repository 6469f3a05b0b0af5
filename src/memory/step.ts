/** The traced step that the simulator of memory plays. */
export { type Events, type StepTrace, symbolsFor, type TraceOptions, traceStep } from '../trace/index.js';
