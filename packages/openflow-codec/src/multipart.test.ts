import { expect, test } from "vitest";
import {
  decode,
  encode,
  encodeMultipart,
  type FlowStatsInit,
  type MessageInitOf,
  MultipartJoiner,
  OFPMPF,
  OfDecodeError,
  splitMultipart,
} from "./index.js";

const reply = (count: number) => ({
  type: "OFPT_MULTIPART_REPLY" as const,
  xid: 7,
  body: {
    type: "OFPMP_FLOW" as const,
    entries: Array.from(
      { length: count },
      (_, i): FlowStatsInit => ({ table_id: 1, priority: i, match: { in_port: i } }),
    ),
  },
});
type Reply = Extract<ReturnType<typeof decode>, { type: "OFPT_MULTIPART_REPLY" }>;
const through = (message: Parameters<typeof encode>[0]): Reply => decode(encode(message)) as Reply;

test("§7.3.5: all parts but the last have REPLY_MORE, none is longer than asked for", () => {
  const parts = splitMultipart<MessageInitOf<"OFPT_MULTIPART_REPLY">>(reply(1000), 4096);
  expect(parts.length).toBeGreaterThan(10);
  for (const [i, part] of parts.entries()) {
    expect(encode(part).length).toBeLessThanOrEqual(4096);
    expect((part.flags ?? 0) & OFPMPF.REPLY_MORE).toBe(i === parts.length - 1 ? 0 : OFPMPF.REPLY_MORE);
  }
});

test("encoded parts are those of splitMultipart, byte for byte", () => {
  for (const [count, maxLength] of [
    [0, 4096],
    [1, 4096],
    [1000, 4096],
    [1000, 100],
    [5, 20],
    [3000, 65535],
  ] as const) {
    const split = splitMultipart<MessageInitOf<"OFPT_MULTIPART_REPLY">>(reply(count), maxLength);
    const parts = [...encodeMultipart(reply(count), maxLength)];
    expect(parts.map((part) => Buffer.from(part).toString("hex"))).toEqual(
      split.map((part) => Buffer.from(encode(part)).toString("hex")),
    );
  }
});

test("a joiner gives the whole back, with other messages between the parts", () => {
  const joiner = new MultipartJoiner();
  const parts = splitMultipart(reply(1000), 4096).map(through);
  const other = through({ ...reply(1), xid: 8 });
  let whole: Reply | undefined;
  for (const part of parts) {
    expect(joiner.push(other)).toBe(other);
    whole = joiner.push(part);
  }
  expect(whole?.body.type === "OFPMP_FLOW" && whole.body.entries.map((flow) => flow.priority)).toEqual(
    Array.from({ length: 1000 }, (_, i) => i),
  );
  expect(joiner.pending).toBe(0);
});

test("a reply without entries, and one of a single body, go as they are", () => {
  expect(splitMultipart(reply(0))).toHaveLength(1);
  expect(splitMultipart({ type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_DESC" } })).toHaveLength(1);
});

test("parts of different types with one xid are refused", () => {
  const joiner = new MultipartJoiner();
  joiner.push(through({ ...reply(1), flags: OFPMPF.REPLY_MORE }));
  const stranger = through({ type: "OFPT_MULTIPART_REPLY", xid: 7, body: { type: "OFPMP_TABLE" } });
  expect(() => joiner.push(stranger)).toThrow(OfDecodeError);
  expect(joiner.pending).toBe(0);
});

test("what a joiner holds is bounded", () => {
  const joiner = new MultipartJoiner({ maxEntries: 10 });
  const part = through({ ...reply(6), flags: OFPMPF.REPLY_MORE });
  joiner.push(part);
  expect(() => joiner.push(part)).toThrow(/OFPBRC_MULTIPART_BUFFER_OVERFLOW/);
  const many = new MultipartJoiner({ maxOpen: 2 });
  many.push({ ...part, xid: 1 });
  many.push({ ...part, xid: 2 });
  expect(() => many.push({ ...part, xid: 3 })).toThrow(OfDecodeError);
});
