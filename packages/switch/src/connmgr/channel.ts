import type { OfMessageInit } from "@sluice/openflow-codec";
import { type AsyncConfig, DEFAULT_ASYNC, NO_ASYNC } from "./async.js";
import type { Role } from "./roles.js";

const DEFAULT_MISS_SEND_LEN = 128;

/** A connection that packet-ins may take. */
export interface Carrier {
  readonly isOpen: boolean;
  readonly connection: { readonly isClosed: boolean; readonly isCongested: boolean };
  notify(message: OfMessageInit): void;
}

/** One controller's channel (1.3.5 §6.3): its main connection and the auxiliary ones. What a controller agrees with
 *  the switch by any of them holds for all. */
export class Channel {
  #asked: AsyncConfig | undefined;
  miss_send_len: number;
  /** NXT_SET_CONTROLLER_ID. */
  controllerId = 0;
  /** NXT_SET_PACKET_IN_FORMAT. */
  packetInFormat: "standard" | "nxt" | "nxt2" = "standard";
  /** Controller.enable_async_messages: what a controller gets that has not asked for anything. */
  isAsyncEnabled = true;
  readonly auxiliaries = new Set<Carrier>();
  readonly #main: Carrier;
  readonly #isService: boolean;
  readonly #onRole: () => void;
  #role: Role = "OFPCR_ROLE_EQUAL";

  /** `isService`: it gets asynchronous messages only once it has asked for them, by setting miss_send_len or which
   *  it wants. */
  constructor(main: Carrier, isService: boolean, onRole: () => void) {
    this.#main = main;
    this.miss_send_len = isService ? 0 : DEFAULT_MISS_SEND_LEN;
    this.#isService = isService;
    this.#onRole = onRole;
  }

  /** What it wants to be told of. */
  get async(): AsyncConfig {
    return this.#asked ?? (this.isAsyncEnabled ? DEFAULT_ASYNC : NO_ASYNC);
  }

  set async(config: AsyncConfig) {
    this.#asked = config;
    if (this.#isService && this.miss_send_len === 0) this.miss_send_len = DEFAULT_MISS_SEND_LEN;
  }

  get role(): Role {
    return this.#role;
  }

  set role(role: Role) {
    if (role === this.#role) return;
    this.#role = role;
    this.#onRole();
  }

  /** §6.3.5: packet-ins are spread over the auxiliary connections, those of one flow (a number) always over the same;
   *  without any they take the main connection. */
  carrier(flow: number): Carrier {
    if (this.auxiliaries.size === 0) return this.#main;
    const open = [...this.auxiliaries].filter(({ isOpen, connection }) => isOpen && !connection.isClosed);
    return open.length === 0 ? this.#main : open[flow % open.length]!;
  }

  /** Whether all connections take more packet-ins now. */
  get isWritable(): boolean {
    if (this.#main.connection.isCongested) return false;
    for (const { connection } of this.auxiliaries) if (connection.isCongested) return false;
    return true;
  }
}
