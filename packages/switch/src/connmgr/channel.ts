import type { OfMessageInit } from "@sluice/openflow-codec";
import { type AsyncConfig, DEFAULT_ASYNC } from "./async.js";
import type { Role } from "./roles.js";

/** A connection that packet-ins may take. */
export interface Carrier {
  readonly isOpen: boolean;
  readonly connection: { readonly isClosed: boolean; readonly isCongested: boolean };
  notify(message: OfMessageInit): void;
}

/** One controller's channel (1.3.5 §6.3): its main connection and the auxiliary ones. What a controller agrees with
 *  the switch by any of them holds for all. */
export class Channel {
  async: AsyncConfig = DEFAULT_ASYNC;
  miss_send_len: number;
  /** NXT_SET_CONTROLLER_ID. */
  controllerId = 0;
  /** NXT_SET_PACKET_IN_FORMAT. */
  packetInFormat: "standard" | "nxt" | "nxt2" = "standard";
  /** Controller.enable_async_messages. */
  isAsyncEnabled = true;
  readonly auxiliaries = new Set<Carrier>();
  readonly #main: Carrier;
  readonly #onRole: () => void;
  #role: Role = "OFPCR_ROLE_EQUAL";

  constructor(main: Carrier, miss_send_len: number, onRole: () => void) {
    this.#main = main;
    this.miss_send_len = miss_send_len;
    this.#onRole = onRole;
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
