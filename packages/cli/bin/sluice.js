#!/usr/bin/env node
import { main } from "../dist/main.js";

const { stdin, stdout, stderr, env, argv } = process;
const code = await main(argv.slice(2), { stdin, stdout, stderr, env });
// What is still open (a control socket, a terminal's input) must not keep a finished command from ending.
stdout.write("", () => process.exit(code));
