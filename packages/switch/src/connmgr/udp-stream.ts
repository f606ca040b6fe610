import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { Duplex } from "node:stream";

const HEADER = 8;

/** Whether a datagram is whole messages, one or several: part of one would be taken for what follows it. */
export function isWholeMessages(datagram: Uint8Array): boolean {
  let at = 0;
  while (at + HEADER <= datagram.length) {
    const length = (datagram[at + 2]! << 8) | datagram[at + 3]!;
    if (length < HEADER) return false;
    at += length;
  }
  return datagram.length > 0 && at === datagram.length;
}

/** OpenFlow over UDP (1.3.5 §6.3.5): each message sent is a datagram. What cannot be delivered is lost, as the
 *  specification allows; nothing of it is an error of the stream. */
class UdpStream extends Duplex {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on("message", (datagram) => {
      // A datagram for which there is no room is lost here instead of in the kernel.
      if (isWholeMessages(datagram) && this.readableLength < this.readableHighWaterMark) this.push(datagram);
    });
    socket.on("error", () => {});
  }

  override _read(): void {}

  override _write(message: Uint8Array, _encoding: string, done: () => void): void {
    this.#socket.send(message, () => done());
  }

  override _final(done: () => void): void {
    this.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.close(() => done(error));
  }
}

/** A stream to a UDP port. Rejects when the host has no address; whether anybody listens shows later. */
export async function openUdp(host: string, port: number): Promise<Duplex> {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  try {
    socket.connect(port, host);
    await once(socket, "connect");
  } catch (error) {
    socket.close();
    throw error;
  }
  return new UdpStream(socket);
}
