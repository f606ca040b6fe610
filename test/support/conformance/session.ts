import {
  type FlowCommand,
  type MessageInitOf,
  type MessageOf,
  type OfMessage,
  type OfMessageInit,
  parseFlow,
  parseGroup,
  parseMeter,
} from "@sluice/openflow-codec";
import type { Bench } from "./bench.js";
import type { MultipartRequestBody, OfClient, ReplyBody } from "./client.js";

export type PacketIn = MessageOf<"OFPT_PACKET_IN">;
type AsyncType = "OFPT_PACKET_IN" | "NXT_PACKET_IN" | "OFPT_FLOW_REMOVED" | "OFPT_PORT_STATUS";

/** Frames by the port that they left by. */
export type Outputs = Readonly<Record<number, readonly Uint8Array[]>>;

/** An OpenFlow message, as ovs-ofctl would write it. */
export const flowMod = (text: string, command: FlowCommand = "add"): MessageInitOf<"OFPT_FLOW_MOD"> =>
  parseFlow(text, command) as MessageInitOf<"OFPT_FLOW_MOD">;
export const groupMod = (
  text: string,
  command: Parameters<typeof parseGroup>[1] = "add",
): MessageInitOf<"OFPT_GROUP_MOD"> => parseGroup(text, command) as MessageInitOf<"OFPT_GROUP_MOD">;
export const meterMod = (
  text: string,
  command: Parameters<typeof parseMeter>[1] = "add",
): MessageInitOf<"OFPT_METER_MOD"> => parseMeter(text, command) as MessageInitOf<"OFPT_METER_MOD">;

/** What a case has in its hands: the bench and one controller's connection. */
export class Session {
  readonly bench: Bench;
  readonly client: OfClient;

  constructor(bench: Bench, client: OfClient) {
    this.bench = bench;
    this.client = client;
  }

  /** Sends messages that must all be taken, and waits until they are in force. */
  async ok(...messages: readonly (OfMessageInit | Uint8Array)[]): Promise<OfMessage[]> {
    const answers = await this.client.exchange(...messages);
    for (const answer of answers)
      if (answer.type === "OFPT_ERROR") throw new Error(`refused: ${answer.error_type} ${answer.error_code}`);
    return answers;
  }

  /** Adds flows, one a line. */
  flows(...lines: readonly string[]): Promise<OfMessage[]> {
    return this.ok(...lines.map((line) => flowMod(line)));
  }

  /** The code of the error that a message is answered with; "accepted" without one. */
  async verdict(message: OfMessageInit | Uint8Array): Promise<string> {
    const error = await this.client.errorOf(message);
    return error === undefined ? "accepted" : String(error.error_code);
  }

  multipart<B extends MultipartRequestBody>(body: B): Promise<ReplyBody<B["type"]>> {
    return this.client.multipart(body);
  }

  /** Lets frames in and gives what came out. */
  async frame(port: number, ...frames: readonly Uint8Array[]): Promise<Outputs> {
    await this.bench.receive(port, ...frames);
    return this.sent();
  }

  /** The numbers of the ports that a frame comes out of. */
  async ports(port: number, frame: Uint8Array): Promise<number[]> {
    return Object.keys(await this.frame(port, frame)).map(Number);
  }

  /** What came out since it was last asked. */
  async sent(): Promise<Outputs> {
    const outputs: Record<number, Uint8Array[]> = {};
    for (const { port, frame } of await this.bench.sent()) {
      outputs[port] ??= [];
      outputs[port].push(frame);
    }
    return outputs;
  }

  /** Takes the messages of a type that came unasked; waits for `atLeast` of any type. */
  async unasked<T extends AsyncType>(type: T, atLeast = 0): Promise<MessageOf<T>[]> {
    return (await this.client.unasked(atLeast)).filter((message) => message.type === type) as MessageOf<T>[];
  }
}
