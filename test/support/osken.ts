import { fileURLToPath } from "node:url";

/** The command line of os-ken with one of the apps in osken/, for switches that connect to 127.0.0.1. */
export const oskenManager = (port: number, app = "learning_switch.py"): string[] => [
  ...["osken-manager", "--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", String(port)],
  fileURLToPath(new URL(`osken/${app}`, import.meta.url)),
];
