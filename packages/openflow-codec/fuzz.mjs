// Mutates the fixtures and holds the codec to its laws: npm run fuzz -- [COUNT [SEED]]. The same count and seed do the
// same; a failure tells the seed of its turn of 50 000.
import { readdirSync, readFileSync } from "node:fs";
import { fuzz } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";

const numbers = process.argv.slice(2);
if (numbers.length > 2 || !numbers.every((text) => /^\d{1,15}$/.test(text))) {
  console.error("usage: npm run fuzz -- [COUNT [SEED]], whole numbers");
  process.exit(1);
}
const [count = 1_000_000, seed = 1] = numbers.map(Number);
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
