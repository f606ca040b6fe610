import type { Clock } from "@sluice/runtime";

interface Slot {
  /** The whole id, or -1 when the slot was never used. */
  id: number;
  /** Undefined once a controller has taken it. */
  packet: Uint8Array | undefined;
  in_port: number;
  storedMs: number;
}

export const N_BUFFERS = 256;
/** A controller has this long to use a buffer before it may be used for another packet (1.3.5 §6.1.2). */
const KEEP_MS = 5_000;
const EPOCHS = 0x7f_ffff;

/** Packets that wait in the switch while a controller has only their beginning (1.3.5 §6.1.2). One fixed ring a
 *  switch; when the oldest is not yet old enough to be forgotten, packets go to the controller whole instead. */
export class PacketBuffers {
  readonly #clock: Clock;
  readonly #slots: Slot[] = Array.from({ length: N_BUFFERS }, () => ({
    id: -1,
    packet: undefined,
    in_port: 0,
    storedMs: 0,
  }));
  #next = 0;
  #epoch = 0;
  readonly counters = { stored: 0, full: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Keeps the packet and gives its buffer_id, or undefined when there is no room. */
  store(packet: Uint8Array, in_port: number): number | undefined {
    const slot = this.#slots[this.#next]!;
    const now = this.#clock.now();
    if (slot.packet !== undefined && now - slot.storedMs < KEEP_MS) {
      this.counters.full++;
      return undefined;
    }
    slot.id = this.#epoch * N_BUFFERS + this.#next;
    slot.packet = packet;
    slot.in_port = in_port;
    slot.storedMs = now;
    this.#next = (this.#next + 1) % N_BUFFERS;
    if (this.#next === 0) this.#epoch = (this.#epoch + 1) % EPOCHS;
    this.counters.stored++;
    return slot.id;
  }

  /** Takes a packet out; its buffer cannot be used again. Says why not when it is not there (§7.4.4). */
  take(
    buffer_id: number,
  ): { packet: Uint8Array; in_port: number } | "OFPBRC_BUFFER_EMPTY" | "OFPBRC_BUFFER_UNKNOWN" {
    const slot = this.#slots[buffer_id % N_BUFFERS]!;
    if (slot.id !== buffer_id) return "OFPBRC_BUFFER_UNKNOWN";
    const { packet, in_port } = slot;
    if (packet === undefined) return "OFPBRC_BUFFER_EMPTY";
    slot.packet = undefined;
    return { packet, in_port };
  }
}
