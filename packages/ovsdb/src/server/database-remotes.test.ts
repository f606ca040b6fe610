import { type AddressInfo, createServer, type Socket } from "node:net";
import { VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { Idl, OpenVSwitch, OvsdbServer, openDatabase } from "../index.js";

test("a Manager's row says how its remote does: state, seconds since it changed, what went wrong", async () => {
  const clock = new VirtualClock();
  const server = new OvsdbServer({ clock });
  server.addDatabase(await openDatabase("memory", { schema: OpenVSwitch }));
  const peers: Socket[] = [];
  const manager = createServer((socket) => peers.push(socket.resume().on("error", () => {})));
  await new Promise<void>((resolve) => manager.listen(0, "127.0.0.1", resolve));
  const { port } = manager.address() as AddressInfo;
  const idl = new Idl(OpenVSwitch, {
    connect: () => server.connect(),
    clock,
    tables: { Open_vSwitch: true, Manager: true },
  }).start();
  const status = (prefix: string): Record<string, unknown> | undefined => {
    const row = idl.find("Manager", ({ target }) => target.startsWith(prefix));
    return row && { is_connected: row.columns.is_connected, ...Object.fromEntries(row.columns.status) };
  };
  const becomes = async (prefix: string, wanted: object): Promise<void> => {
    while (JSON.stringify(status(prefix)) !== JSON.stringify(wanted))
      await new Promise((resolve) => idl.events.once("change", resolve));
  };
  try {
    await server.listen("db:Open_vSwitch,Open_vSwitch,manager_options");
    await idl.synced();
    await idl.transact((txn) => {
      const targets = ["ptcp:0:127.0.0.1", `tcp:127.0.0.1:${port}`, "nonsense"];
      const manager_options = targets.map((target) => txn.insert("Manager", { target }));
      txn.insert("Open_vSwitch", { manager_options });
    });
    await becomes("tcp", { is_connected: true, sec_since_connect: "0", state: "ACTIVE" });
    await clock.advanceAsync(10_000, 2500);
    await becomes("tcp", { is_connected: true, sec_since_connect: "10", state: "ACTIVE" });
    for (const peer of peers) peer.destroy();
    await becomes("tcp", {
      is_connected: false,
      sec_since_connect: "10",
      sec_since_disconnect: "0",
      state: "BACKOFF",
    });
    const { bound_port, ...listener } = status("ptcp")!;
    expect(Number(bound_port)).toBeGreaterThan(0);
    expect(listener).toEqual({ is_connected: false, sec_since_connect: "0", sec_since_disconnect: "0" });
    expect(status("nonsense")).toEqual({
      is_connected: false,
      last_error: expect.stringMatching(/^not a connection target; allowed are /),
      state: "BACKOFF",
    });
    // Nobody listens any more: the next attempt says why it failed.
    await new Promise((resolve) => manager.close(resolve));
    await clock.advanceAsync(1000);
    await becomes("tcp", {
      is_connected: false,
      last_error: "connection refused",
      sec_since_connect: "11",
      sec_since_disconnect: "1",
      state: "BACKOFF",
    });
  } finally {
    idl.close();
    await server.close();
    manager.close();
  }
});
