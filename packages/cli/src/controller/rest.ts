import { readFileSync } from "node:fs";
import { type App, type QosApp, type RestOptions, type RestServer, serveRest } from "@sluice/controller";
import { streamError } from "@sluice/runtime";
import { CliError } from "../io.js";
import { openQueues } from "./ovsdb-queues.js";

/** The options of `sluice controller` that serve its REST interface. */

export const REST_OPTIONS = {
  rest: { value: true },
  "rest-host": { value: true, many: true },
  "rest-token": { value: true },
  "rest-private-key": { value: true },
  "rest-certificate": { value: true },
  "rest-ca-cert": { value: true },
} as const;

export const REST_HELP = `  --rest [HOST:]PORT     serve REST, events and metrics there; HOST is 127.0.0.1 unless given. Ryu's port is 8080
  --rest-token FILE      who asks must show the token that this file holds: Authorization: Bearer TOKEN
  --rest-host NAME       a host name under which REST is reached, beside localhost and IP addresses; may be repeated
  --rest-private-key FILE, --rest-certificate FILE, --rest-ca-cert FILE
                         serve REST over TLS; with a ca-cert only to clients that show a certificate of it
`;

interface RestArguments {
  rest?: string;
  "rest-host"?: string[];
  "rest-token"?: string;
  "rest-private-key"?: string;
  "rest-certificate"?: string;
  "rest-ca-cert"?: string;
}

function addressOf(text: string): { host: string; port: number } {
  const [, host = "127.0.0.1", port = ""] = /^(?:(.+):)?(\d{1,5})$/s.exec(text) ?? [];
  if (port === "" || Number(port) > 65535) throw new CliError(`--rest: "${text}" is not [HOST:]PORT`);
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}

/** The text of the file that an option names. */
function readOption(name: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError(`--${name}: ${streamError(file, error).message}`);
  }
}

function tokenIn(file: string): string {
  const token = readOption("rest-token", file).trim();
  if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(token))
    throw new CliError(`--rest-token: ${file} is to hold one line without spaces and commas`);
  return token;
}

function tlsOf(options: RestArguments) {
  const { "rest-private-key": private_key, "rest-certificate": certificate } = options;
  const ca_cert = options["rest-ca-cert"];
  if (private_key === undefined && certificate === undefined && ca_cert === undefined) return undefined;
  if (private_key === undefined) throw new CliError("--rest-certificate needs --rest-private-key");
  if (certificate === undefined) throw new CliError("--rest-private-key needs --rest-certificate");
  for (const name of ["rest-private-key", "rest-certificate", "rest-ca-cert"] as const) {
    const file = options[name];
    if (file !== undefined) readOption(name, file);
  }
  return { private_key, certificate, ca_cert };
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);

/** Gives apps what the controller by itself does not have: databases. */
export function equip(apps: readonly App[]): void {
  for (const app of apps) if ("useQueues" in app) (app as QosApp).useQueues(openQueues);
}

/** Undefined where nobody asked for it; else it listens, and `line` says where. Throws CliError. */
export async function startRest(
  options: RestArguments,
  served: Omit<RestOptions, "hosts" | "token" | "tls">,
): Promise<{ server: RestServer; line: string } | undefined> {
  if (options.rest === undefined) {
    const needy = Object.keys(REST_OPTIONS).find(
      (name) => options[name as keyof RestArguments] !== undefined,
    );
    if (needy !== undefined) throw new CliError(`--${needy} needs --rest [HOST:]PORT`);
    return undefined;
  }
  const { host, port } = addressOf(options.rest);
  const tls = tlsOf(options);
  const token = options["rest-token"] === undefined ? undefined : tokenIn(options["rest-token"]);
  try {
    const { server, address } = await serveRest({
      ...served,
      hosts: options["rest-host"],
      ...{ token, tls, host, port },
    });
    if (!isLoopback(host) && token === undefined && tls?.ca_cert === undefined)
      served.log.warn(`whoever reaches ${address} may change flows; --rest-token FILE asks for a token`);
    return { server, line: `REST on ${tls ? "https" : "http"}://${address}/` };
  } catch (error) {
    throw new CliError(`--rest: ${streamError(options.rest, error).message}`);
  }
}
