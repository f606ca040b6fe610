import type { Worker } from "node:worker_threads";
import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Offload, Upcall } from "../../../dpif/dpif.js";
import { DP_LANES, newFlowKey } from "../../../flow/flow-key.js";
import { Packet } from "../../../netdev/packet.js";
import { actionsOfText } from "../flow-directory.js";
import { Backlog, backlogMemory } from "./backlog.js";
import { CommandReader, CommandWriter } from "./command-queue.js";
import {
  CommandEncoder,
  type CommandTarget,
  ownUpcall,
  type RawUpcall,
  UpcallReader,
  upcallWords,
  writeUpcall,
} from "./records.js";
import { RingReader, RingWriter, ringMemory } from "./ring.js";

const lane = fc.integer({ min: 0, max: 0xffff_ffff });
const id = fc.integer({ min: 0, max: 2 ** 40 });
const number = fc.nat(1 << 20);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const offload: fc.Arbitrary<Offload | undefined> = fc.option(
  fc
    .record({
      csumStart: fc.integer({ min: -1, max: 100 }),
      csumOffset: fc.nat(30),
      gsoType: fc.nat(5),
      gsoSize: fc.nat(1500),
      hdrLen: fc.nat(120),
      isDatagram: fc.boolean(),
    })
    .map(({ isDatagram, ...rest }) => (isDatagram ? { ...rest, isDatagram } : rest)),
  { nil: undefined },
);

/** Lanes with bits, and their bits. */
const masked = fc
  .uniqueArray(fc.tuple(fc.nat(DP_LANES - 1), lane, lane), { selector: ([at]) => at, maxLength: DP_LANES })
  .map((lanes) => {
    const key = newFlowKey();
    const mask = newFlowKey();
    for (const [at, value, bits] of lanes) {
      mask[at] = bits;
      key[at] = bits === 0 ? 0 : value;
    }
    return { key, mask };
  });

type Call = readonly unknown[];

/** What a target was told, as values of its own. */
function recorder(): { calls: Call[]; target: CommandTarget } {
  const calls: Call[] = [];
  const target: CommandTarget = {
    programText: (program, text) => calls.push(["programPut", program, text]),
    programDel: (program) => calls.push(["programDel", program]),
    flowPut: (slot, id, key, mask, program) =>
      calls.push(["flowPut", slot, id, [...key], [...mask], program]),
    flowReplace: (slot, id, program) => calls.push(["flowReplace", slot, id, program]),
    flowDel: (slot) => calls.push(["flowDel", slot]),
    execute: (packet, port, program, recirc, offload) =>
      calls.push(["execute", [...packet], port, program, recirc, offload && { ...offload }]),
  };
  return { calls, target };
}

const command = fc.oneof(
  fc.tuple(fc.constant("programPut" as const), number, fc.string({ unit: "grapheme-ascii", maxLength: 60 })),
  fc.tuple(fc.constant("programDel" as const), number),
  fc.tuple(fc.constant("flowPut" as const), number, id, masked, number),
  fc.tuple(fc.constant("flowReplace" as const), number, id, number),
  fc.tuple(fc.constant("flowDel" as const), number),
  fc.tuple(
    fc.constant("execute" as const),
    bytes(300),
    number,
    number,
    lane.map((n) => n >>> 1),
    offload,
  ),
  fc.tuple(fc.constant("message" as const), number),
);
const step = fc.oneof(
  { weight: 8, arbitrary: command },
  { weight: 1, arbitrary: fc.constantFrom("flush" as const, "read" as const) },
);

test("commands are carried out as they were told and in their order, whether or not the ring is full", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (script) => {
      const { port1, port2 } = new MessageChannel();
      const memory = ringMemory(256);
      // Of a worker only its port is used.
      const waits = backlogMemory();
      const backlog = new Backlog(waits);
      const writer = new CommandWriter(memory, backlog, port1 as unknown as Worker);
      const encoder = new CommandEncoder(() => writer);
      const { calls, target } = recorder();
      const reader = new CommandReader(memory, new Backlog(waits), port2, target, (command) =>
        calls.push(["message", command]),
      );
      const told: Call[] = [];
      const readAll = () => {
        while (reader.next());
      };
      for (const step of script) {
        if (step === "flush") writer.flush();
        else if (step === "read") readAll();
        else if (step[0] === "message") {
          const command = { op: "barrier", seq: step[1] } as const;
          writer.message(command);
          told.push(["message", command]);
        } else if (step[0] === "programPut") {
          encoder.programPut(step[1], [], step[2]);
          told.push(step);
        } else if (step[0] === "flowPut") {
          const [, slot, id, { key, mask }, program] = step;
          encoder.flowPut(slot, id, key, mask, program);
          told.push(["flowPut", slot, id, [...key], [...mask], program]);
        } else if (step[0] === "flowReplace") {
          encoder.flowReplace(step[1], step[2], step[3]);
          told.push(step);
        } else if (step[0] === "execute") {
          const [, packet, port, program, recirc, offload] = step;
          encoder.execute(packet, port, program, recirc, offload);
          told.push(["execute", [...packet], port, program, recirc, offload]);
        } else {
          encoder[step[0]](step[1]);
          told.push(step);
        }
      }
      writer.flush();
      readAll();
      expect(calls).toEqual(told);
      // Back on the ring, and nothing is left to be read before the reader waits.
      writer.flush();
      readAll();
      expect(reader.mayWait()).toBe(true);
      expect(backlog.size).toBe(0);
      port1.close();
    }),
    { numRuns: 60 },
  );
});

test("an upcall that goes through memory is the one that stays in the thread", () => {
  const upcall = fc.record({
    kind: fc.constantFrom("miss" as const, "action" as const),
    odpPort: number,
    cookie: lane,
    lanes: fc.array(lane, { minLength: 12, maxLength: DP_LANES }),
    frame: fc.uint8Array({ minLength: 14, maxLength: 400 }),
    cut: fc.nat(400),
    offload,
  });
  const upcalls = new UpcallReader();
  fc.assert(
    fc.property(upcall, ({ kind, odpPort, cookie, lanes, frame, cut, offload }) => {
      const packet = new Packet();
      packet.load(frame);
      const key = newFlowKey();
      key.set(lanes);
      const size = Math.min(cut, frame.length);
      const raw: RawUpcall = { kind, odpPort, cookie, key, lanes: lanes.length, packet, size, offload };
      const memory = ringMemory(1024);
      const writer = new RingWriter(memory);
      writeUpcall(writer, writer.reserve(upcallWords(raw.lanes, size)), raw);
      writer.commit();
      const reader = new RingReader(memory);
      const own: Upcall = ownUpcall(raw);
      expect(upcalls.read(reader, reader.next())).toEqual(own);
    }),
  );
});

test("actions come back from their text, bytes among them", () => {
  const actions = [
    { type: "set_field", field: "eth_dst", value: Uint8Array.of(1, 2, 3, 4, 5, 6) },
    {
      type: "clone",
      actions: [{ type: "set_field", field: "ip_dscp", value: Uint8Array.of(8), mask: Uint8Array.of(60) }],
    },
    { type: "output", port: 3 },
  ];
  expect(actionsOfText(JSON.stringify(actions))).toEqual(actions);
  const [first] = actions;
  const buffers = [{ ...first, value: Buffer.from([1, 2, 3, 4, 5, 6]) }];
  expect(actionsOfText(JSON.stringify(buffers))).toEqual([first]);
});
