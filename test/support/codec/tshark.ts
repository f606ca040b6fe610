import { check } from "../process.js";

/** A field that tshark's dissector found, by its place in the message. */
export interface Dissected {
  /** Without the "openflow_v4." before it. */
  readonly name: string;
  readonly at: number;
  readonly size: number;
  /** As tshark shows it. */
  readonly show: string;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const plain = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (_, hex, decimal, name) =>
    hex || decimal ? String.fromCodePoint(hex ? Number.parseInt(hex, 16) : Number(decimal)) : ENTITIES[name]!,
  );

export interface Dissection {
  readonly fields: readonly Dissected[];
  /** Bytes [start, end) that it leaves undecoded. */
  readonly blobs: readonly (readonly [number, number])[];
}

/** What tshark makes of each OpenFlow 1.3 message of a capture, in order. Bits of a flag word are left out. */
export async function dissect(file: string): Promise<Dissection[]> {
  const pdml = await check(["tshark", "-n", "-r", file, "-T", "pdml"], { timeoutMs: 60_000 });
  return [...pdml.matchAll(/<proto name="openflow_v4"[^>]* pos="(\d+)">(.*?)\n {2}<\/proto>/gs)].map(
    ([, start, content]) => dissection(content!, Number(start)),
  );
}

function dissection(content: string, start: number): Dissection {
  const fields: Dissected[] = [];
  const blobs: [number, number][] = [];
  const elements = /<field name="(openflow_v4\.[\w.]+|)"([^>]*)>(\s*<field name="_ws\.expert")?/g;
  for (const [, full, rest, expert] of content.matchAll(elements)) {
    const attribute = (key: string): string => new RegExp(` ${key}="([^"]*)"`).exec(rest!)?.[1] ?? "";
    const at = Number(attribute("pos")) - start;
    const size = Number(attribute("size"));
    if (full === "") {
      if (expert !== undefined) blobs.push([at, at + size]);
    } else if (attribute("unmaskedvalue") === "") {
      fields.push({ name: full!.replace("openflow_v4.", ""), at, size, show: plain(attribute("show")) });
    }
  }
  return { fields, blobs };
}
