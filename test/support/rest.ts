import { type SwitchUnderTest, startOvs, startSluice } from "./daemons.js";
import { Daemon, SLUICE, until } from "./process.js";
import { addBridge, addPort } from "./vsctl.js";

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes.
  readonly body: any;
}

/** `sluice controller` with its REST interface, for switches that connect to a unix socket. */
export class RestController {
  readonly daemon: Daemon;
  /** Where switches connect. */
  readonly socket: string;
  /** "http://127.0.0.1:PORT" */
  readonly base: string;

  private constructor(daemon: Daemon, socket: string, base: string) {
    this.daemon = daemon;
    this.socket = socket;
    this.base = base;
  }

  /** `socket`: where it listens for switches. */
  static async start(socket: string, ...options: string[]): Promise<RestController> {
    const argv = ["node", SLUICE, "controller", "--listen", `punix:${socket}`, "--rest", "0", ...options];
    const daemon = new Daemon(argv);
    await daemon.prints(/REST on/);
    return new RestController(daemon, socket, /REST on (https?:\/\/[^/]+)\//.exec(daemon.output)![1]!);
  }

  async ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(this.base + path, {
      method,
      headers,
      ...(text !== undefined && { body: text }),
    });
    const answer = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return { status: response.status, body: isJson ? JSON.parse(answer) : answer };
  }

  get = (path: string): Promise<Answer> => this.ask("GET", path);
  post = (path: string, body?: unknown): Promise<Answer> => this.ask("POST", path, body);
  put = (path: string, body?: unknown): Promise<Answer> => this.ask("PUT", path, body);
  delete = (path: string, body?: unknown): Promise<Answer> => this.ask("DELETE", path, body);

  /** Waits until as many switches are connected. */
  async hasSwitches(count: number): Promise<void> {
    await until(
      async () => (await this.get("/stats/switches")).body.length === count,
      `${count} switches to be connected`,
      30_000,
      () => this.daemon.output,
    );
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
  }
}

/** Both kinds of switch, for tests of what a controller makes of them. */
export const SWITCH_KINDS = ["Sluice", "Open vSwitch"] as const;
export type SwitchKind = (typeof SWITCH_KINDS)[number];

/** Not br0: its local port is a device, and other tests have theirs at the same time. */
export const BRIDGE = `br${process.pid}`;

/** A switch with that bridge (datapath_id 1) and dummy ports p1 to p3, connected to a controller with these options. */
export async function switchWithRest(
  kind: SwitchKind,
  ...options: string[]
): Promise<{ sut: SwitchUnderTest; rest: RestController }> {
  const isOvs = kind === "Open vSwitch";
  const sut = isOvs ? await startOvs({ vswitchd: ["--enable-dummy"] }) : await startSluice();
  const rest = await RestController.start(`${sut.rundir}/c.sock`, ...options);
  await sut.vsctl(
    ...addBridge(BRIDGE, `datapath_type=${isOvs ? "dummy" : "netdev"}`, "fail_mode=secure"),
    ...["protocols=OpenFlow13", "other_config:datapath-id=0000000000000001"],
    ...[1, 2, 3].flatMap((n) => addPort(BRIDGE, `p${n}`, "type=dummy", `ofport_request=${n}`)),
    ...["--", "set-controller", BRIDGE, `unix:${rest.socket}`],
  );
  await rest.hasSwitches(1);
  return { sut, rest };
}
