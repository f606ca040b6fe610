// Mutates the fixtures and holds the codec to its laws: node fuzz.mjs [COUNT [SEED]]. Deterministic.
import { readdirSync, readFileSync } from "node:fs";
import { fuzz } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";

const count = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? 1);
const fixtures = new URL("../../test/fixtures/openflow/", import.meta.url);
const seeds = readdirSync(fixtures)
  .filter((file) => file.endsWith(".of13"))
  .flatMap((file) =>
    readFileSync(new URL(file, fixtures), "utf8")
      .split(/^\[(?=.*\]$)/m)
      .slice(1),
  )
  .map((block) =>
    fromHex(
      block
        .split("\n---\n")[0]
        .split("\n")
        .slice(1)
        .map((line) => line.slice(4))
        .join(""),
    ),
  );

const TURN = 50_000;
let decoded = 0;
for (let done = 0; done < count; done += TURN)
  decoded += fuzz(seeds, Math.min(TURN, count - done), seed + done);
console.log(
  `${count} mutations of ${seeds.length} messages from seed ${seed}: ${decoded} decoded, none broke a law`,
);
