import { Daemon, SLUICE, until } from "./process.js";

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
