import { describe, expect, test } from "vitest";
import { type OptionSpecs, parseOptions } from "./options.js";

const SPECS = {
  protocols: { short: "O", value: true, many: true },
  timeout: { short: "t", value: true },
  more: { short: "m", count: true },
  names: {},
  "no-names": {},
  "no-stats": {},
  sort: { value: "optional" },
  rsort: { value: "optional" },
} as const;
const parse = (...argv: string[]) => parseOptions(argv, SPECS);

describe("options are read as getopt_long reads them", () => {
  test("between arguments, in any order", () => {
    expect(parse("-O", "OpenFlow13", "add-flow", "--names", "br0", "actions=drop", "-t5")).toMatchObject({
      args: ["add-flow", "br0", "actions=drop"],
      options: { protocols: ["OpenFlow13"], names: true, timeout: "5" },
    });
  });

  test("a value follows after =, in the next word, or right after a short option", () => {
    for (const argv of [["--timeout=7"], ["--timeout", "7"], ["-t", "7"], ["-t7"]])
      expect(parse(...argv).options.timeout).toBe("7");
  });

  test("an optional value follows only after =", () => {
    expect(parse("--sort", "br0")).toMatchObject({ options: { sort: "" }, args: ["br0"] });
    expect(parse("--sort=nw_src", "--rsort").order).toEqual([
      ["sort", "nw_src"],
      ["rsort", ""],
    ]);
  });

  test("an optional value is attached to a short option, as -vconsole:off has it for Open vSwitch's tools", () => {
    const specs = {
      verbose: { short: "v", value: "optional", many: true },
      certificate: { short: "c", value: true },
    };
    expect(parseOptions(["-vconsole:off", "-v", "br0"], specs as OptionSpecs)).toMatchObject({
      options: { verbose: ["console:off", ""] },
      args: ["br0"],
    });
  });

  test("short options are bundled and counted", () => {
    expect(parse("-mmt3").options).toEqual({ more: 2, timeout: "3" });
  });

  test("a long name may be cut short while it stays unique", () => {
    expect(parse("--time=3", "--na").options).toEqual({ timeout: "3", names: true });
    expect(() => parse("--no")).toThrow("option --no is ambiguous: --no-names, --no-stats");
  });

  test("- is an argument, and -- ends the options", () => {
    expect(parse("-", "--", "--names").args).toEqual(["-", "--names"]);
  });

  test("what is wrong is told in one line", () => {
    expect(() => parse("--nope")).toThrow("unknown option --nope");
    expect(() => parse("-x")).toThrow("unknown option -x");
    expect(() => parse("-t")).toThrow("option -t needs a value");
    expect(() => parse("--names=yes")).toThrow("option --names takes no value");
  });

  test("options after the first argument are left alone where a command follows", () => {
    expect(parseOptions(["-t", "3", "cmd", "-x"], SPECS, { stopAtArgument: true }).args).toEqual([
      "cmd",
      "-x",
    ]);
  });
});
