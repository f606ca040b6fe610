export { Recorder, type RecorderOptions, seedOf } from "./recorder.js";
export {
  type Difference,
  type RecordedMessage,
  type ReplayOptions,
  type ReplayResult,
  replay,
} from "./replay.js";
