/** Words of ovs-vsctl, to be put one behind the other: each begins with "--". */

export const addBridge = (bridge: string, ...columns: string[]): string[] => [
  ...["--", "add-br", bridge, "--", "set", "bridge", bridge],
  ...columns,
];

export const addPort = (bridge: string, port: string, ...columns: string[]): string[] => [
  ...["--", "add-port", bridge, port, "--", "set", "interface", port],
  ...columns,
];
