export {
  FLOW_COUNTERS,
  type Monitor,
  type MonitorApp,
  type MonitorCounters,
  type MonitorEvents,
  type MonitoredFlow,
  type MonitoredPort,
  type MonitorOptions,
  monitor,
  monitorApp,
  PORT_COUNTERS,
} from "./monitor.js";
export { showPort } from "./routes.js";
export { RateSeries, type Sample } from "./series.js";
