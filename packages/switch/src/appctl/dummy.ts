import { fromHex } from "@sluice/wire";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { composeFrame } from "../dpif/compose.js";
import { parseOdpFlow } from "../dpif/odp-parse.js";

/** netdev-dummy/…: the far ends of dummy ports' cables, for tests of flows and controllers without a network. */

/** Lets a frame in by the dummy port of this name; false when there is no room. */
export type ReceiveByDummy = (name: string, frame: Uint8Array) => boolean;

interface DummyPort {
  readonly bridge: Bridge;
  readonly name: string;
  readonly ofport: number;
  readonly odpPort: number;
}

function dummyPorts(bridges: Bridges): DummyPort[] {
  return [...bridges.running.values()].flatMap((bridge) =>
    bridge.ofproto
      .ports()
      .filter(({ type, odpPort }) => type === "dummy" && odpPort !== undefined)
      .map(({ name, ofport, odpPort }) => ({ bridge, name, ofport, odpPort: odpPort! })),
  );
}

const ETHERNET_HEADER = 14;

/** netdev-dummy/receive: a frame comes in by a dummy port; in hex, or as a flow in the syntax of dpctl/dump-flows, of
 *  which one is made. */
export async function dummyReceive(
  bridges: Bridges,
  receive: ReceiveByDummy,
  args: readonly string[],
): Promise<undefined> {
  const [name, ...rest] = args;
  const port = dummyPorts(bridges).find((one) => one.name === name);
  if (!port) throw new Error("no such dummy netdev");
  for (const frame of framesOf(bridges, rest))
    if (!receive(port.name, frame)) throw new Error(`${port.name}: there is no room for the packet`);
  await bridges.backerOf(port.bridge).dpif.barrier();
}

function framesOf(bridges: Bridges, args: readonly string[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let i = 0; i < args.length; i++) {
    const text = args[i]!;
    // There is one queue.
    if (text === "--qid") i++;
    else if (/^(?:[0-9a-f]{2})+$/i.test(text) && text.length >= 2 * ETHERNET_HEADER)
      frames.push(fromHex(text));
    else {
      const size = args[i + 1] === "--len" ? sizeOf(args[i + 2]) : undefined;
      if (size !== undefined) i += 2;
      frames.push(composed(bridges, text, size));
    }
  }
  return frames;
}

const MAX_FRAME = 65_535;

function sizeOf(text: string | undefined): number {
  const size = Number(text);
  if (!/^\d+$/.test(text ?? "") || size < ETHERNET_HEADER) throw new Error("too small packet len");
  if (size > MAX_FRAME) throw new Error(`${size}: a packet has at most ${MAX_FRAME} bytes`);
  return size;
}

function composed(bridges: Bridges, flow: string, size: number | undefined): Uint8Array {
  const ports = new Map(
    [...bridges.running.values()].flatMap(({ ofproto }) =>
      ofproto.ports().map(({ name, odpPort }) => [name, odpPort]),
    ),
  );
  return composeFrame(
    parseOdpFlow(flow, (name) => ports.get(name)),
    size,
  );
}

/** netdev-dummy/set-admin-state: of one dummy port, or of all. */
export async function setAdminState(bridges: Bridges, args: readonly string[]): Promise<string> {
  const state = args.at(-1);
  if (state !== "up" && state !== "down") throw new Error("Invalid Admin State");
  const [name] = args.length > 1 ? args : [];
  const ports = dummyPorts(bridges).filter((port) => name === undefined || port.name === name);
  if (name !== undefined && ports.length === 0) throw new Error("Unknown Dummy Interface");
  for (const { bridge, odpPort } of ports)
    await bridges.backerOf(bridge).dpif.portSet(odpPort, { up: state === "up" });
  return "OK\n";
}
