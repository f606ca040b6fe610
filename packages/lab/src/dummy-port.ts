import type { DummyPort } from "@sluice/switch";
import type { Socket } from "./link.js";

/** A dummy port of the switch, to plug a cable into. The cable's state is the port's carrier. */
export const dummySocket = (port: DummyPort): Socket => ({
  receive: (frame) => void port.receive(frame),
  plug: (send) => {
    port.onTransmit = send;
  },
  carrier: (isUp) => {
    port.link = isUp;
  },
});
