// The controller of bench/topology: the apps topology and forwarding over a real listening port. Tells its parent by
// messages: {target} once it listens, {links, at} when the number of links has been reached (ms since 1970).
import { Controller, forwarding, topology } from "@sluice/controller";
import { createLog } from "@sluice/runtime";

const wanted = Number(process.argv[2]);
const found = topology({});
const log = createLog({ console: () => {} });
const controller = new Controller({ apps: [found, forwarding(found.topology)], log });
let count = 0;
found.topology.events.on("link_add", () => {
  if (++count === wanted) process.send({ links: count, at: Date.now() });
});
found.topology.events.on("link_delete", () => {
  count--;
});
const { target } = await controller.listen("ptcp:0:127.0.0.1");
process.send({ target });
process.on("disconnect", () => process.exit(0));
